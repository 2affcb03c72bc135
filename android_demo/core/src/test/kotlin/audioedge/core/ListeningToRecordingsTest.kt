package audioedge.core

import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory

/** Real models and recordings through TensorFlow Lite, against what Python's `Detector` heard. */
class ListeningToRecordingsTest {
    private class Case(val model: String, val recording: String, val detector: JsonObject?, val heard: List<Detection>)

    private val cases = golden("listening.json").jsonObject["cases"]!!.jsonArray.map { it.jsonObject }.map { case ->
        val heard = case["heard"]!!.jsonArray.map { it.jsonObject }.map {
            val score = it["score"]!!.jsonPrimitive.double.toFloat()
            Detection(it["label"]!!.jsonPrimitive.content, score, it["time_s"]!!.jsonPrimitive.double)
        }
        val names = listOf("model", "recording").map { case[it]!!.jsonPrimitive.content }
        Case(names[0], names[1], case["detector"]?.jsonObject, heard)
    }

    @Test
    fun `there are three recordings, four models and two settings`() {
        assertEquals(24, cases.size)
        assertTrue(cases.all { it.heard.size >= 3 })
    }

    /** Same labels, same hop; scores differ by what two versions of the runtime may differ. */
    @TestFactory
    fun `hears what Python hears`(): List<DynamicTest> = cases.map { case ->
        dynamicTest("${case.model} in ${case.recording} ${case.detector ?: ""}") {
            val tolerance = if ("int8" in case.model) 0.02f else 1e-4f
            val heard = openModel(model(case.model), ::TfLite).use {
                Detector(it.with(case.detector)).detect(recording(case.recording).samples())
            }
            assertEquals(case.heard.map { it.label to it.timeS }, heard.map { it.label to it.timeS })
            for ((wanted, found) in case.heard.zip(heard)) {
                assertEquals(wanted.score, found.score, tolerance, wanted.label)
            }
        }
    }

    @Test
    fun `a detector hears a recording the same again`() {
        for (name in listOf("model_int8.tflite", "model_int8_streaming.tflite")) {
            openModel(model(name), ::TfLite).use {
                val detector = Detector(it)
                val samples = recording(cases[0].recording).samples()
                assertEquals(detector.detect(samples), detector.detect(samples))
            }
        }
    }

    /** The same model with other settings in its card. */
    private fun Model.with(detector: JsonObject?): Model {
        val text = cardText(
            "labels" to card.labels.joinToString(",", "[", "]") { "\"$it\"" },
            "sample_rate" to "${card.sampleRate}",
            "clip_samples" to "${card.clipSamples}",
            "detector" to "${detector ?: return this}",
        )
        val given = ModelCard.of(Json.parseToJsonElement(text).jsonObject)
        val changed = card.copy(detector = given.detector, apart = given.apart)
        return object : Model by this {
            override val card = changed
        }
    }
}
