package audioedge.core

import java.util.concurrent.CountDownLatch
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.test.StandardTestDispatcher
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

@OptIn(ExperimentalCoroutinesApi::class)
class ListenTest {
    private val microphone = FakeMicrophone()

    private suspend fun hops(
        model: Model,
        audio: CoroutineDispatcher,
        open: (Int) -> AudioSource = microphone::open,
    ): List<Hop> = buildList { listen(open, Detector(model), model.card, audio, ::add) }

    @Test
    fun `a recording through the microphone's path is heard as Python hears it`() = runTest {
        val wanted = openModel(model("model_int8_streaming.tflite"), ::TfLite).use {
            Detector(it).detect(recording("snr15_seed110.wav").samples())
        }
        openModel(model("model_int8_streaming.tflite"), ::TfLite).use { model ->
            val padded = ShortArray(16000) + recording("snr15_seed110.wav").samples() + ShortArray(16000)
            padded.hops(500).forEach { microphone.hears(it) } // no multiple of a packet or a hop
            microphone.sound.put { null }
            val hops = hops(model, StandardTestDispatcher(testScheduler))
            val heard = hops.flatMap { it.detections }
            assertEquals(wanted.map { it.label to it.score }, heard.map { it.label to it.score })
            for ((first, second) in wanted.zip(heard)) assertEquals(first.timeS, second.timeS - 1, 1e-9)
            assertEquals(padded.size / 16000.0, hops.last().endS)
            assertEquals(0.0, hops.last().droppedS)
        }
        assertEquals(1 to 0, microphone.count.opened to microphone.count.open)
    }

    /**
     * Inference stands still in its first run until 1000 samples have come behind it: the queue keeps the
     * newest 200 of them, a new stream begins there, and the times of what it hears count the gap too.
     */
    @Test
    fun `slower than audio, what is dropped is counted and a new stream begins behind it`() = runBlocking {
        val asked = CountDownLatch(1)
        val flooded = CountDownLatch(1)
        val runner = FakeRunner(listOf(floats("x", 1, 100)), listOf(floats("y", 1, 2))) { samples ->
            asked.countDown()
            flooded.await()
            if (samples.takeLast(10).all { it > 0.5f }) floatArrayOf(0f, 1f) else floatArrayOf(1f, 0f)
        }
        val quiet = List(10) { constant(0, 10) }
        val flood = List(80) { constant(0, 10) } + List(20) { constant(20000, 10) }
        quiet.forEach { microphone.hears(it) }
        microphone.sound.put { constant(0, 0).also { asked.await() } }
        flood.forEach { microphone.hears(it) }
        microphone.sound.put { constant(0, 0).also { flooded.countDown() } }
        microphone.sound.put { null }
        openModel(fake()) { runner }.use { model ->
            val hops = hops(model, Dispatchers.IO)
            assertEquals(0.8, hops.last().droppedS)
            assertEquals(1.1, hops.last().endS)
            // the second look of the new stream, which began at 900
            assertEquals(listOf(Detection("high", 1f, 0.9 + (110 - 35) / 1000.0)), hops.flatMap { it.detections })
            assertEquals(1 + 11, runner.heard.size)
        }
    }

    @Test
    fun `a microphone of another rate is one sentence, and closed`() = runTest {
        val other = FakeMicrophone(gives = 48000)
        openModel(fake()) { clipRunner() }.use { model ->
            val problem = assertThrows<AudioProblem> {
                runBlocking { hops(model, Dispatchers.IO, other::open) }
            }
            assertEquals(
                "the microphone gives 48000 Hz and the model wants 1000 Hz; choose a model of that rate",
                problem.sentence,
            )
        }
        assertEquals(1 to 0, other.count.opened to other.count.open)
    }

    @Test
    fun `a microphone that is lost is one sentence, and closed`() {
        val failures = mapOf<Throwable, String>(
            IllegalStateException("dead object") to "the microphone was lost (dead object); close other apps that use it",
            AudioProblem("the headset is gone; plug it in again") to "the headset is gone; plug it in again",
        )
        for ((failure, sentence) in failures) {
            openModel(fake()) { clipRunner() }.use { model ->
                microphone.hears(constant(1, 30))
                microphone.sound.put { throw failure }
                val problem = assertThrows<AudioProblem> { runBlocking { hops(model, Dispatchers.IO) } }
                assertEquals(sentence, problem.sentence)
            }
        }
        assertEquals(2 to 0, microphone.count.opened to microphone.count.open)
    }

    @Test
    fun `a microphone that cannot be opened is one sentence`() {
        openModel(fake()) { clipRunner() }.use { model ->
            val problem = assertThrows<AudioProblem> {
                runBlocking { hops(model, Dispatchers.IO) { throw UnsupportedOperationException("no input") } }
            }
            assertTrue(problem.sentence.startsWith("the microphone cannot be opened at 1000 Hz (no input); "))
        }
    }

    @Test
    fun `a model that fails ends the microphone too`() {
        val failing = FakeRunner(listOf(floats("x", 1, 100)), listOf(floats("y", 1, 2))) { error("node 3") }
        openModel(fake()) { failing }.use { model ->
            microphone.hears(constant(1, 100))
            assertThrows<ModelProblem> { runBlocking { hops(model, Dispatchers.IO) } }
        }
        assertEquals(1 to 0, microphone.count.opened to microphone.count.open)
    }
}
