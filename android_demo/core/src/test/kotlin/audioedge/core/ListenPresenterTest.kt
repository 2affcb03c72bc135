package audioedge.core

import java.util.concurrent.CountDownLatch
import java.util.concurrent.Executors
import java.util.concurrent.atomic.AtomicInteger
import kotlin.random.Random
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

/** On two real threads, as in the app; tests wait for states and never for time. */
class ListenPresenterTest {
    private val audio = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
    private val inference = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
    private val microphone = FakeMicrophone()
    private val runners = Count()
    private val device = Device("Phone", "arm64-v8a", 8, "Android 16", "6.1", "tensorflow_lite", "2.16.1")
    private val word = constant(0, 200) + constant(20000, 40) + constant(0, 100)
    private var presenter = presenter(fake("good.tflite"))

    private fun presenter(vararg files: ModelFile, open: (Int) -> AudioSource = microphone::open) =
        ListenPresenter(files.toList(), open, { clipRunner(runners) }, device, audio, inference)

    private fun listening(vararg files: ModelFile, open: (Int) -> AudioSource = microphone::open) {
        presenter = presenter(*files, open = open)
        presenter.permission(true)
        presenter.start()
    }

    private fun shows(wanted: (UiState) -> Boolean): UiState =
        runBlocking { withTimeout(20_000) { presenter.state.first(wanted) } }

    private fun eventually(condition: () -> Boolean) =
        runBlocking { withTimeout(20_000) { while (!condition()) delay(1) } }

    private fun everythingIsClosed() = eventually { microphone.count.open == 0 && runners.open == 0 }

    @AfterEach
    fun `nothing is left open`() {
        presenter.close()
        everythingIsClosed()
        audio.close()
        inference.close()
    }

    @Test
    fun `listens once it may, and not when refused`() {
        assertEquals(UiState(models = listOf("good.tflite")), presenter.state.value)
        presenter.start()
        assertEquals(Mode.IDLE, presenter.state.value.mode)
        presenter.permission(false)
        assertEquals(Permission.REFUSED, presenter.state.value.permission)
        presenter.start()
        assertEquals(Mode.IDLE, presenter.state.value.mode)
        presenter.permission(true)
        shows { it.permission == Permission.GRANTED && it.mode == Mode.LISTENING && it.heardS == 0.0 }
        eventually { microphone.count.open == 1 && runners.open == 1 }
        presenter.permission(false)
        assertEquals(Mode.IDLE, presenter.state.value.mode)
        everythingIsClosed()
        presenter.permission(true)
        assertEquals(Mode.IDLE, presenter.state.value.mode)
    }

    @Test
    fun `a refusal ends the wish to listen, the second one too`() {
        repeat(2) {
            presenter.start()
            presenter.permission(false)
        }
        presenter.permission(true)
        assertEquals(Mode.IDLE, presenter.state.value.mode)
    }

    @Test
    fun `what ends listening from outside is told until it begins again`() {
        listening(fake())
        shows { it.mode == Mode.LISTENING }
        presenter.stop("the sound is another's; wait")
        assertEquals("the sound is another's; wait", shows { it.mode == Mode.IDLE }.message)
        presenter.start()
        assertNull(shows { it.mode == Mode.LISTENING }.message)
    }

    @Test
    fun `shows what it hears`() {
        listening(fake())
        microphone.hears(word)
        shows { it.heardS == 0.34 }
        microphone.hears(constant(16384, 10))
        val state = shows { it.heardS == 0.35 }
        assertEquals(listOf(Heard("high", 1f, (220 - 35) / 1000.0)), state.log)
        assertEquals(-6.02, state.levelDb, 0.01)
        assertTrue(state.p50Ms!! in 0.0..state.p90Ms!!)
        assertEquals(0L, state.droppedMs)
    }

    @Test
    fun `stop closes microphone and interpreter`() {
        listening(fake())
        eventually { microphone.count.open == 1 }
        presenter.start() // once is enough
        presenter.stop()
        assertEquals(Mode.IDLE to FLOOR_DB, presenter.state.value.mode to presenter.state.value.levelDb)
        everythingIsClosed()
        assertEquals(1, microphone.count.opened)
    }

    @Test
    fun `held back until all who hold let go, and times go on`() {
        listening(fake())
        microphone.hears(word)
        shows { it.heardS == 0.34 }
        presenter.pause(Hold.FOCUS)
        presenter.pause(Hold.SCREEN)
        assertEquals(Mode.PAUSED, presenter.state.value.mode)
        everythingIsClosed()
        presenter.resume(Hold.FOCUS)
        assertEquals(Mode.PAUSED, presenter.state.value.mode)
        presenter.resume(Hold.SCREEN)
        presenter.resume(Hold.SCREEN)
        assertEquals(Mode.LISTENING, presenter.state.value.mode)
        microphone.hears(word)
        val state = shows { it.heardS == 0.68 }
        assertEquals(listOf(0.525, 0.185), state.log.map { it.timeS })
        presenter.pause(Hold.FOCUS)
        presenter.stop()
        presenter.resume(Hold.FOCUS)
        assertEquals(Mode.IDLE, presenter.state.value.mode)
    }

    @Test
    fun `another model can be chosen while listening, one at a time is open`() {
        listening(fake("a.tflite"), fake("b.tflite"))
        microphone.hears(word)
        shows { it.p50Ms != null }
        presenter.choose(1)
        assertNull(presenter.state.value.p50Ms)
        eventually { microphone.count.opened == 2 }
        microphone.hears(word)
        val state = shows { it.p50Ms != null }
        assertEquals(listOf("a.tflite", "b.tflite") to 1, state.models to state.chosen)
        assertEquals(listOf(2, 1, 2, 1), listOf(runners.opened, runners.most, microphone.count.opened, microphone.count.most))
        presenter.choose(1)
        assertThrows<IllegalArgumentException> { presenter.choose(2) }
        assertEquals(2, runners.opened)
    }

    @Test
    fun `a bad model is one sentence, and the next one is heard`() {
        val shape = carded(cardText("clip_samples" to "99"))
        val bad = mapOf(
            fake("empty", ByteArray(0)) to "empty: the file is empty; ",
            fake("text", "hello, world".encodeToByteArray()) to "text: not a TFLite model ",
            fake("foreign", "....TFL3 of others, with no card".encodeToByteArray()) to "foreign: carries no model card; ",
            fake("cut", carded().copyOf(300)) to "cut: the file is damaged (its card cannot be read); ",
            fake("shape", shape) to "shape: the card says 99 samples and 2 labels in float32, the model takes [[1, 100]] ",
            ModelFile("gone") { throw java.io.IOException("no such asset") } to "gone: cannot be read (no such asset); ",
        )
        listening(fake("good"), *bad.keys.toTypedArray())
        for ((index, sentence) in bad.values.withIndex()) {
            presenter.choose(index + 1)
            presenter.start()
            val state = shows { it.message != null && it.chosen == index + 1 }
            assertTrue(state.message!!.startsWith(sentence), state.message)
            assertTrue("\n" !in state.message && "; " in state.message, state.message)
            assertEquals(Mode.IDLE, state.mode)
        }
        presenter.choose(0)
        presenter.start()
        val before = presenter.state.value.heardS
        microphone.hears(word)
        assertNull(shows { it.heardS > before }.message)
    }

    @Test
    fun `a microphone of another rate, and one that is lost, are one sentence`() {
        val other = FakeMicrophone(gives = 48000)
        listening(fake(), open = other::open)
        assertTrue(shows { it.message != null }.message!!.startsWith("the microphone gives 48000 Hz and the model wants 1000 Hz"))
        eventually { other.count.open == 0 }
        listening(fake())
        microphone.sound.put { error("dead object") }
        val state = shows { it.message != null }
        assertEquals("the microphone was lost (dead object); close other apps that use it", state.message)
        assertEquals(Mode.IDLE, state.mode)
        presenter.start()
        assertNull(presenter.state.value.message)
        microphone.hears(word)
        shows { it.log.isNotEmpty() }
    }

    @Test
    fun `a recording that ends leaves the app idle`() {
        listening(fake())
        microphone.hears(word)
        microphone.sound.put { null }
        val state = shows { it.mode == Mode.IDLE }
        assertNull(state.message)
        assertEquals(1, state.log.size)
    }

    @Test
    fun `what the app injects may fail in closing`() {
        val stuck = object : AudioSource {
            override val sampleRate = 1000
            override fun read() = null
            override fun close() = error("not initialised")
        }
        listening(fake(), open = { stuck })
        assertEquals("listening failed (not initialised); start it again", shows { it.message != null }.message)
    }

    @Test
    fun `an app without models says so`() {
        listening()
        assertEquals("there is no model in the app; put a .tflite file into its assets", shows { it.message != null }.message)
    }

    @Test
    fun `the log keeps the newest lines`() {
        listening(fake())
        val times = 130
        repeat(times) { done ->
            microphone.hears(word)
            shows { it.heardS > 0.34 * (done + 1) - 0.001 }
        }
        val state = presenter.state.value
        assertEquals(UiState.LOG_SIZE, state.log.size)
        assertEquals((times - 1) * 0.34 + 0.185, state.log.first().timeS, 1e-9)
        assertTrue(state.log.zipWithNext().all { (newer, older) -> newer.timeS > older.timeS })
    }

    @Test
    fun `a benchmark measures every file and then listens again`() {
        listening(fake("a"), fake("empty", ByteArray(0)), fake("b"))
        presenter.benchmark()
        val state = shows { it.benchmark?.json != null && it.mode == Mode.LISTENING }
        assertEquals(listOf("a", "b"), state.benchmark!!.rows.map { it.name })
        assertEquals(1f, state.benchmark.progress)
        assertTrue(state.benchmark.rows.all { it.p50Ms <= it.p90Ms })
        assertEquals("empty: the file is empty; copy or export it again", state.message)
        microphone.hears(word)
        assertEquals(state.benchmark, shows { it.log.isNotEmpty() }.benchmark)
    }

    @Test
    fun `a benchmark goes on when a hold is taken back`() {
        listening(fake())
        presenter.pause(Hold.FOCUS)
        shows { it.mode == Mode.PAUSED }
        presenter.benchmark()
        presenter.resume(Hold.FOCUS)
        assertEquals(1, shows { it.benchmark?.json != null }.benchmark!!.rows.size)
        shows { it.mode == Mode.LISTENING }
    }

    @Test
    fun `a benchmark of nothing has no result`() {
        presenter = presenter(fake("empty", ByteArray(0)))
        presenter.benchmark()
        val state = shows { it.benchmark?.progress == 1f && it.mode == Mode.IDLE }
        assertEquals(emptyList<BenchmarkRow>() to null, state.benchmark!!.rows to state.benchmark.json)
    }

    @Test
    fun `a benchmark can be ended, and one that fails closes its models`() {
        val stopped = CountDownLatch(1)
        val runs = AtomicInteger()
        val infer = { _: FloatArray ->
            when (runs.incrementAndGet()) {
                50 -> error("node 3")
                150 -> stopped.await()
            }
            floatArrayOf(1f, 0f)
        }
        presenter = ListenPresenter(
            listOf(fake("a"), fake("b")), microphone::open,
            { FakeRunner(listOf(floats("x", 1, 100)), listOf(floats("y", 1, 2)), runners, infer) },
            device, audio, inference,
        )
        presenter.benchmark()
        val failed = shows { it.message != null }
        assertEquals("b: the runtime cannot run it (node 3); copy or export it again", failed.message)
        assertNull(failed.benchmark)
        everythingIsClosed()
        assertEquals(2, runners.opened)
        presenter.benchmark()
        eventually { runs.get() == 150 }
        assertTrue(presenter.state.value.benchmark!!.progress in 0.1f..0.9f)
        presenter.stop()
        stopped.countDown()
        everythingIsClosed()
        assertEquals(Mode.IDLE to null, presenter.state.value.mode to presenter.state.value.benchmark)
    }

    @Test
    fun `calls from many threads leave one microphone open at a time`() {
        presenter = presenter(fake("a"), fake("b"))
        presenter.permission(true)
        List(4) { seed ->
            Thread {
                val random = Random(seed)
                repeat(100) {
                    when (random.nextInt(7)) {
                        0 -> presenter.stop()
                        1 -> presenter.choose(random.nextInt(2))
                        2 -> presenter.pause(Hold.entries.random(random))
                        3 -> presenter.benchmark()
                        4 -> presenter.permission(random.nextInt(4) > 0)
                        5 -> presenter.resume(Hold.entries.random(random))
                        else -> presenter.start()
                    }
                    Thread.sleep(0, random.nextInt(900_000))
                }
            }.apply { start() }
        }.forEach { it.join() }
        presenter.stop()
        everythingIsClosed()
        assertTrue(microphone.count.most <= 1 && runners.most <= 2, "at most one, or two in a benchmark")
        presenter.permission(true)
        Hold.entries.forEach(presenter::resume)
        presenter.start()
        microphone.hears(word)
        shows { it.log.isNotEmpty() }
        presenter.close()
        everythingIsClosed()
        presenter.stop()
        presenter.start()
        assertEquals(0, microphone.count.open)
    }
}
