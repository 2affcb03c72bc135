package audioedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive

/**
 * Reads the card that a `.tflite` file carries, and proves the file whole, as `audio_edge/card.py` does.
 *
 * The card is a zip behind the flatbuffer. The flatbuffer must have the SHA-256 that the card tells, and
 * the zip must be, byte for byte, the one that its card and labels make: no flipped bit goes unnoticed.
 *
 * @param file Its name, for messages.
 * @throws ModelProblem the file is empty, not TFLite, damaged, or carries no card.
 */
fun readCard(file: String, content: ByteBuffer): ModelCard {
    val bytes = content.duplicate().order(ByteOrder.LITTLE_ENDIAN).between(0, content.limit())
    if (!bytes.hasRemaining()) throw ModelProblem("$file: the file is empty; copy or export it again")
    if (bytes.limit() < 8 || bytes.text(4, 4) != "TFL3") {
        throw ModelProblem("$file: not a TFLite model (bytes 4 to 8 are not TFL3); take a .tflite file")
    }
    if (!bytes.holds(CARD_FILE.encodeToByteArray())) {
        throw ModelProblem("$file: carries no model card; it was not exported by audio_edge")
    }
    val found = try {
        CardZip.read(bytes)
    } catch (error: RuntimeException) { // whatever places and sizes in a damaged zip lead to
        throw damaged(file, "its card cannot be read", error)
    }
    val json = try {
        Json.parseToJsonElement(found.card.decodeToString(throwOnInvalidSequence = true)) as JsonObject
    } catch (error: Exception) {
        throw damaged(file, "its card is no JSON object", error)
    }
    val card = try {
        ModelCard.of(json)
    } catch (error: IllegalArgumentException) {
        throw ModelProblem("$file: the card's ${firstLine(error)}; export it again", error)
    }
    val digest = ((json["hashes"] as? JsonObject)?.get("buffers") as? JsonPrimitive)?.content
    if (digest != sha256(bytes, found.start)) throw damaged(file, "the model differs from its hash")
    val labels = card.labels.joinToString("") { "$it\n" }.encodeToByteArray()
    if (bytes.duplicate().between(found.start, bytes.limit()) != CardZip(found.start, found.card, labels).bytes()) {
        throw damaged(file, "the card differs from its checksum")
    }
    return card
}

/** Hexadecimal SHA-256 of the first [size] bytes, all by default. */
fun sha256(content: ByteBuffer, size: Int = content.limit()): String {
    val digest = MessageDigest.getInstance("SHA-256").apply { update(content.duplicate().between(0, size)) }.digest()
    return digest.joinToString("") { "%02x".format(it) }
}

private fun damaged(file: String, reason: String, cause: Throwable? = null) =
    ModelProblem("$file: the file is damaged ($reason); copy or export it again", cause)

private fun ByteBuffer.holds(wanted: ByteArray): Boolean =
    (limit() - wanted.size downTo 0).any { at -> wanted.indices.all { get(at + it) == wanted[it] } }
