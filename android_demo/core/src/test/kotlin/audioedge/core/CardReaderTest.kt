package audioedge.core

import java.nio.ByteBuffer
import kotlin.random.Random
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class CardReaderTest {
    private val file = shared.resolve("android/model_int8_streaming.tflite").readBytes()

    @Test
    fun `card of a file that Python wrote`() {
        val card = readCard("model", ByteBuffer.wrap(file))
        assertEquals(listOf("play", "stop", "louder", "quiet", "forward", "backward", "silence", "unknown"), card.labels)
        assertEquals(listOf(16000, 16000, 640), listOf(card.sampleRate, card.clipSamples, card.stepSamples))
        assertEquals(listOf("demo", "int8"), listOf(card.name, card.stage))
        assertEquals(DetectorConfig(), card.detector)
        assertEquals(listOf("logmel", "stem"), card.streaming!!.states.take(2))
        assertEquals(25, card.streaming.silencePackets)
        assertNull(openCard("model_float.tflite").streaming)
    }

    @Test
    fun `reading leaves the buffer as it was`() {
        val buffer = direct(file).between(3, file.size)
        readCard("model", buffer)
        assertEquals(3 to file.size, buffer.position() to buffer.limit())
    }

    /** Every byte of the card's zip and a thousand others of the model. */
    @Test
    fun `no flipped bit goes unnoticed`() {
        val random = Random(7)
        val card = CardZip.read(ByteBuffer.wrap(file).order(java.nio.ByteOrder.LITTLE_ENDIAN))
        val places = (card.start until file.size).shuffled(random).take(700) + List(300) { random.nextInt(8, card.start) } +
            (file.size - 200 until file.size)
        for (place in places) {
            val damaged = file.copyOf().also { it[place] = (it[place].toInt() xor (1 shl random.nextInt(8))).toByte() }
            val problem = assertThrows<ModelProblem>("byte $place") { readCard("m.tflite", ByteBuffer.wrap(damaged)) }
            assertTrue(problem.sentence.startsWith("m.tflite: "), problem.sentence)
        }
    }

    @Test
    fun `a file that was cut off is refused wherever it was cut`() {
        for (size in List(60) { Random(it).nextInt(8, file.size) } + (file.size - 30 until file.size)) {
            assertThrows<ModelProblem>("$size bytes") { readCard("m.tflite", ByteBuffer.wrap(file.copyOf(size))) }
        }
    }

    @Test
    fun `what is no model is told in a sentence`() {
        val bad = mapOf(
            "" to "m.tflite: the file is empty; copy or export it again",
            "TFL3" to "m.tflite: not a TFLite model (bytes 4 to 8 are not TFL3); take a .tflite file",
            "this is no model" to "m.tflite: not a TFLite model (bytes 4 to 8 are not TFL3); take a .tflite file",
            "....TFL3 by others, of any length" to
                "m.tflite: carries no model card; it was not exported by audio_edge",
            "....TFL3 names model_card.json and was cut off" to
                "m.tflite: the file is damaged (its card cannot be read); copy or export it again",
        )
        for ((content, sentence) in bad) {
            assertEquals(sentence, refused(content.encodeToByteArray()))
        }
    }

    @Test
    fun `damage is told in a sentence`() {
        assertEquals("the file is damaged (its card is no JSON object)", reason(carded("[1]   ")))
        assertEquals("the file is damaged (the card differs from its checksum)", reason(carded(labels = "low\nhigh\n")))
        val other = carded().also { it[9] = 'x'.code.toByte() }
        assertEquals("the file is damaged (the model differs from its hash)", reason(other))
    }

    @Test
    fun `what the card lacks are Python's defaults`() {
        val card = readCard("m", ByteBuffer.wrap(carded(cardText("detector" to null))))
        assertEquals(DetectorConfig(0.1, 0.3, 0.6, 0.8), card.detector)
        assertEquals(ModelCard(listOf("silence", "high"), 1000, 100), card)
    }

    @Test
    fun `labels may have settings of their own`() {
        val detector = """{"hop_s": 0.05, "threshold": 0.5, "labels": {"high": {"threshold": 0.9, "window_s": 1}}}"""
        val card = readCard("m", ByteBuffer.wrap(carded(cardText("detector" to detector, "multi_label" to "true"))))
        assertEquals(DetectorConfig(0.05, 0.3, 0.5, 0.8), card.settings("silence"))
        assertEquals(DetectorConfig(0.05, 1.0, 0.9, 0.8), card.settings("high"))
        assertTrue(card.multiLabel)
    }

    @Test
    fun `a card with a wrong value names its key`() {
        val bad = mapOf(
            cardText("format" to "2") to "format must be 1",
            cardText("format" to "null") to "format must be a count",
            cardText("labels" to null) to "labels must be a list of names",
            cardText("labels" to "[]") to "labels must be different names",
            cardText("labels" to """["a", "a"]""") to "labels must be different names",
            cardText("labels" to """["a", 1]""") to "labels must be a list of names",
            cardText("sample_rate" to "0") to "sample_rate must be a count >= 1",
            cardText("sample_rate" to "\"16000\"") to "sample_rate must be a count >= 1",
            cardText("clip_samples" to null) to "clip_samples must be a count >= 1",
            cardText("name" to "7") to "name must be text",
            cardText("params" to "-1") to "params must be a count >= 0",
            cardText("detector" to "7") to "detector must be a JSON object",
            cardText("detector" to """{"threshold": 1}""") to "threshold must be in (0, 1)",
            cardText("detector" to """{"threshold": "high"}""") to "detector.threshold must be a number",
            cardText("detector" to """{"hop_s": 1}""") to "hop_s must be > 0 and window_s at least hop_s",
            cardText("detector" to """{"refractory_s": -1}""") to "refractory_s must be >= 0",
            cardText("detector" to """{"labels": {"low": {}}}""") to "detector.labels must be labels",
            cardText("streaming" to """{"packet_samples": 0}""") to "packet_samples must be a count >= 1",
            cardText("streaming" to """{"packet_samples": 10, "streams": 16}""") to "streaming.streams must be 1",
        )
        for ((text, rule) in bad) {
            val sentence = refused(carded(text))
            assertTrue(sentence.startsWith("m.tflite: the card's $rule"), sentence)
            assertTrue(sentence.endsWith("; export it again"), sentence)
        }
    }

    private fun openCard(name: String) = readCard(name, ByteBuffer.wrap(shared.resolve("android/$name").readBytes()))

    private fun refused(content: ByteArray) =
        assertThrows<ModelProblem> { readCard("m.tflite", ByteBuffer.wrap(content)) }.sentence

    private fun reason(content: ByteArray) =
        refused(content).removePrefix("m.tflite: ").removeSuffix("; copy or export it again")
}
