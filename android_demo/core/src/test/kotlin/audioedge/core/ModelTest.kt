package audioedge.core

import java.io.IOException
import java.nio.ByteBuffer
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNotSame
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class ModelTest {
    private val streaming = """{"packet_samples": 10, "states": ["a", "b"], "silence_packets": 3, "exact": true}"""
    private val streamed = carded(cardText("streaming" to streaming))
    private val states = listOf(floats("state_b", 2), floats("state_a", 1))

    /** It counts packets in its states and gives the first sample of each. */
    private fun streamRunner(
        inputs: List<Tensor> = listOf(floats("packet", 1, 10)) + states,
        outputs: List<Tensor> = listOf(floats("probs", 1, 2), floats("next_b", 2), floats("next_a", 1)),
        count: Count = Count(),
    ) = FakeRunner(inputs, outputs, count) { floatArrayOf(it[0], 1 - it[0]) }

    @Test
    fun `a model of clips hears the newest clip`() {
        val runner = clipRunner()
        openModel(fake()) { runner }.use { model ->
            model.push(constant(5, 250))
            model.push(constant(32767, 10))
            assertArrayEquals(floatArrayOf(0f, 1f), model.probs())
            model.reset()
            assertArrayEquals(floatArrayOf(1f, 0f), model.probs())
        }
        val (first, second) = runner.heard.map { floatsOf(it[0]) }
        assertArrayEquals(FloatArray(90) { 5 / 32768f } + FloatArray(10) { 32767 / 32768f }, first)
        assertArrayEquals(FloatArray(100), second)
        assertNotSame(runner.heard[0][0], runner.heard[1][0])
    }

    @Test
    fun `a stream begins with the state that silence leaves`() {
        val runner = streamRunner()
        openModel(fake(content = streamed)) { runner }.use { model ->
            assertEquals(3, runner.heard.size)
            model.push(constant(16384, 10))
            assertEquals(listOf(3f, 3f), floatsOf(runner.heard.last()[1]).toList())
            assertEquals(listOf(3f), floatsOf(runner.heard.last()[2]).toList())
            assertArrayEquals(floatArrayOf(0.5f, 0.5f), model.probs())
            model.push(constant(0, 10))
            assertEquals(listOf(4f), floatsOf(runner.heard.last()[2]).toList())
            model.reset()
            model.push(constant(0, 10))
            assertEquals(listOf(3f), floatsOf(runner.heard.last()[2]).toList())
        }
    }

    @Test
    fun `a stream takes pieces of any length and forgets what waits on reset`() {
        val runner = streamRunner()
        val model = openModel(fake(content = streamed)) { runner }
        val samples = ShortArray(35) { it.toShort() }
        for (piece in samples.hops(4)) model.push(piece)
        model.push(ShortArray(0))
        assertEquals(listOf(0f, 10f, 20f), runner.heard.drop(3).map { floatsOf(it[0])[0] * 32768 })
        model.reset()
        model.push(constant(7, 5))
        assertEquals(6, runner.heard.size)
        model.push(constant(7, 26))
        assertEquals(9, runner.heard.size)
    }

    @Test
    fun `probabilities are fresh`() {
        val model = openModel(fake(content = streamed)) { streamRunner() }
        model.push(constant(16384, 10))
        model.probs().fill(7f)
        assertArrayEquals(floatArrayOf(0.5f, 0.5f), model.probs())
    }

    @Test
    fun `a model that is not what its card says is one sentence, and its runner is closed`() {
        val clips = listOf(
            listOf(floats("x", 1, 99)) to listOf(floats("y", 1, 2)),
            listOf(floats("x", 1, 100)) to listOf(floats("y", 1, 3)),
            listOf(floats("x", 2, 100)) to listOf(floats("y", 1, 2)),
            listOf(floats("x", 1, 100).copy(isFloat32 = false)) to listOf(floats("y", 1, 2)),
            listOf(floats("x", 1, 100), floats("z", 1)) to listOf(floats("y", 1, 2)),
            listOf(floats("x", 1, 100)) to emptyList(),
        )
        for ((inputs, outputs) in clips) {
            val count = Count()
            val problem = refused(fake()) { FakeRunner(inputs, outputs, count) { it } }
            assertTrue(problem.startsWith("fake.tflite: the card says 100 samples and 2 labels in float32, the model takes ["), problem)
            assertEquals(1 to 0, count.opened to count.open)
        }
        val packet = floats("packet", 1, 10)
        val outputs = listOf(floats("probs", 1, 2), floats("next_b", 2), floats("next_a", 1))
        val streams = mapOf(
            (listOf(packet) to outputs) to "state_a",
            (listOf(packet) + states to outputs.drop(1)) to "probs",
            (listOf(packet) + states to outputs.dropLast(1)) to "next_a",
            (listOf(packet) + states to outputs.dropLast(1) + floats("next_a", 2)) to "state_a",
            (listOf(floats("packet", 16, 10)) + states to outputs) to "10 samples and 2 labels",
            (listOf(packet) + states + floats("state_c", 1) to outputs) to "2 states",
        )
        for ((tensors, named) in streams) {
            val count = Count()
            val problem = refused(fake(content = streamed)) { streamRunner(tensors.first, tensors.second, count) }
            assertEquals("fake.tflite: the card names $named, which the model has not; export it again", problem)
            assertEquals(1 to 0, count.opened to count.open)
        }
    }

    @Test
    fun `what cannot be opened is one sentence`() {
        val unread = ModelFile("gone.tflite") { throw IOException("no such asset") }
        assertEquals("gone.tflite: cannot be read (no such asset); copy or export it again", refused(unread) { clipRunner() })
        assertEquals(
            "fake.tflite: the runtime cannot load it (bad op); copy or export it again",
            refused(fake()) { throw IllegalArgumentException("\nbad op\nand more") },
        )
        assertEquals(
            "fake.tflite: the runtime cannot load it (UnsatisfiedLinkError); this phone may want a newer TensorFlow Lite",
            refused(fake()) { throw UnsatisfiedLinkError() },
        )
    }

    @Test
    fun `a runtime that fails while it runs is one sentence`() {
        val failing = { _: ByteBuffer ->
            FakeRunner(listOf(floats("x", 1, 100)), listOf(floats("y", 1, 2))) { throw IllegalStateException("node 3") }
        }
        val model = openModel(fake(), failing)
        val problem = assertThrows<ModelProblem> { model.probs() }
        assertEquals("fake.tflite: the runtime cannot run it (node 3); copy or export it again", problem.sentence)
    }

    private fun refused(file: ModelFile, openRunner: (ByteBuffer) -> ModelRunner) =
        assertThrows<ModelProblem> { openModel(file, openRunner) }.sentence
}
