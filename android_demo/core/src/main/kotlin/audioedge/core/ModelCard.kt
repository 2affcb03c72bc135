package audioedge.core

import kotlinx.serialization.json.JsonArray
import kotlinx.serialization.json.JsonElement
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.booleanOrNull

/** How a streaming file is fed: packets, the names of its states, and the packets that are silence to it. */
data class Streaming(val packetSamples: Int, val states: List<String>, val silencePackets: Int)

/**
 * What one needs to know to use a model, as `audio_edge/card.py` writes it.
 *
 * @property labels One name a class, in the order of the model's output.
 * @property sampleRate Hz.
 * @property clipSamples Samples that one answer is about.
 * @property detector Settings of all labels but those that have [apart] ones.
 * @property stage How the weights are stored: "float", "int8" and others.
 * @property multiLabel Several labels may be heard at once.
 * @property streaming null of a model that takes clips.
 */
data class ModelCard(
    val labels: List<String>,
    val sampleRate: Int,
    val clipSamples: Int,
    val detector: DetectorConfig = DetectorConfig(),
    val apart: Map<String, DetectorConfig> = emptyMap(),
    val name: String = "model",
    val stage: String = "float",
    val params: Int = 0,
    val multiLabel: Boolean = false,
    val streaming: Streaming? = null,
) {
    /** The settings of one label. */
    fun settings(label: String): DetectorConfig = apart[label] ?: detector

    /** Samples of new audio that one inference takes. */
    val stepSamples: Int get() = streaming?.packetSamples ?: clipSamples

    companion object {
        /**
         * The card in a parsed `model_card.json`.
         *
         * @throws IllegalArgumentException a key is missing or out of range; the message names it.
         */
        fun of(json: JsonObject): ModelCard {
            require(json.count("format", 1) == 1) { "format must be 1; a newer app may read it" }
            val labels = json.texts("labels")
            require(labels.isNotEmpty() && labels.toSet().size == labels.size) { "labels must be different names" }
            val settings = json.table("detector")
            val detector = settings.detector(DetectorConfig())
            val apart = settings.table("labels")
            require(labels.containsAll(apart.keys)) { "detector.labels must be labels" }
            return ModelCard(
                labels = labels,
                sampleRate = json.count("sample_rate", 1),
                clipSamples = json.count("clip_samples", 1),
                detector = detector,
                apart = apart.keys.associateWith { apart.table(it).detector(detector) },
                name = json.text("name", "model"),
                stage = json.text("stage", "float"),
                params = if ("params" in json) json.count("params", 0) else 0,
                multiLabel = (json["multi_label"] as? JsonPrimitive)?.booleanOrNull ?: false,
                streaming = json.table("streaming").takeIf { it.isNotEmpty() }?.streaming(),
            )
        }
    }
}

private fun JsonObject.detector(others: DetectorConfig) = DetectorConfig(
    hopS = number("hop_s", others.hopS),
    windowS = number("window_s", others.windowS),
    threshold = number("threshold", others.threshold),
    refractoryS = number("refractory_s", others.refractoryS),
)

private fun JsonObject.streaming(): Streaming {
    require("streams" !in this || count("streams", 1) == 1) { "streaming.streams must be 1 on a phone" }
    return Streaming(count("packet_samples", 1), texts("states"), count("silence_packets", 1))
}

private fun JsonObject.count(key: String, least: Int): Int {
    val value = (this[key] as? JsonPrimitive)?.takeUnless { it.isString }?.content?.toIntOrNull()
    require(value != null && value >= least) { "$key must be a count >= $least" }
    return value
}

private fun JsonObject.number(key: String, absent: Double): Double {
    val found = this[key] ?: return absent
    val value = (found as? JsonPrimitive)?.takeUnless { it.isString }?.content?.toDoubleOrNull()
    require(value != null && value.isFinite()) { "detector.$key must be a number" }
    return value
}

private fun JsonObject.text(key: String, absent: String): String {
    val found = this[key] ?: return absent
    require(found.isText()) { "$key must be text" }
    return (found as JsonPrimitive).content
}

private fun JsonObject.texts(key: String): List<String> {
    val found = this[key] as? JsonArray
    require(found != null && found.all { it.isText() }) { "$key must be a list of names" }
    return found.map { (it as JsonPrimitive).content }
}

private fun JsonObject.table(key: String): JsonObject {
    val found = this[key] ?: return JsonObject(emptyMap())
    require(found is JsonObject) { "$key must be a JSON object" }
    return found
}

private fun JsonElement.isText(): Boolean = this is JsonPrimitive && isString && content.isNotBlank()
