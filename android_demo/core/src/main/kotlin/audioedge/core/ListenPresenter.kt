package audioedge.core

import java.io.Closeable
import java.nio.ByteBuffer
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Job
import kotlinx.coroutines.currentCoroutineContext
import kotlinx.coroutines.ensureActive
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.job

/**
 * What the buttons do, and what the screen shows for it.
 *
 * Any thread may call it, and no call waits. One piece of work runs at a time: where a call changes what
 * is to be done, the work before ends, its microphone and interpreter are closed, and the next begins.
 *
 * @param openSource Opens the microphone at a rate in Hz; called, read and closed on [audio].
 * @param openRunner Loads a whole file into the runtime; called, run and closed on [inference].
 * @param audio A thread that may wait for the microphone.
 * @param inference A thread for the models.
 * @param keep Keeps a hit, if the user wants that, and gives its name; see [Keeper].
 */
class ListenPresenter(
    private val models: List<ModelFile>,
    private val openSource: (sampleRate: Int) -> AudioSource,
    private val openRunner: (ByteBuffer) -> ModelRunner,
    private val device: Device,
    private val audio: CoroutineDispatcher,
    inference: CoroutineDispatcher,
    private val nanoTime: () -> Long = System::nanoTime,
    private val keep: (hit: Hit, card: ModelCard, sha256: () -> String) -> String? = { _, _, _ -> null },
) : Closeable {
    private val shown = MutableStateFlow(UiState(models = models.map { it.name }))
    private val turns = Turns(inference)
    private val holds = mutableSetOf<Hold>()
    private var wanted = false // the user asked to listen

    /** What the screen shows. */
    val state: StateFlow<UiState> = shown.asStateFlow()

    /** The system's answer, now and whenever it may have changed; a refusal ends listening. */
    fun permission(granted: Boolean) {
        val permission = if (granted) Permission.GRANTED else Permission.REFUSED
        act({ shown.value.permission != permission || (wanted && !granted) }) {
            wanted = wanted && granted
            it.copy(permission = permission)
        }
    }

    /** Listens from now on or, without permission yet, as soon as it is granted. */
    fun start() = act({ !wanted }) {
        wanted = true
        it.copy(message = null)
    }

    /** Ends listening, and a benchmark; shows [why] where it was not the user. */
    fun stop(why: String? = null) = act {
        wanted = false
        it.copy(message = why)
    }

    /** Takes another model, while listening too. */
    fun choose(index: Int) {
        require(index in models.indices) { "there is no model $index" }
        act({ shown.value.chosen != index }) {
            it.copy(chosen = index, p50Ms = null, p90Ms = null, message = null)
        }
    }

    /** Holds listening back until all who do so [resume]; ends a benchmark. */
    fun pause(by: Hold) = act({ by !in holds }) {
        holds += by
        it
    }

    /** Takes a [pause] back; a benchmark goes on, and what follows it is as it would be without. */
    @Synchronized
    fun resume(by: Hold) {
        if (shown.value.mode == Mode.BENCHMARK) holds -= by
        act({ by in holds }) {
            holds -= by
            it
        }
    }

    /** Measures every file, then listens again if it did. */
    fun benchmark() = act(measure = true) { it.copy(message = null, benchmark = BenchmarkState(0f)) }

    /** Ends everything and closes what is open; the presenter is of no more use. */
    override fun close() = turns.close()

    @Synchronized
    private fun act(changes: () -> Boolean = { true }, measure: Boolean = false, change: (UiState) -> UiState) {
        if (!changes()) return
        turns.end()
        val next = change(shown.value.resting())
        shown.value = next.copy(mode = if (measure) Mode.BENCHMARK else mode(next))
        turns.begin { attempt(measure) }
    }

    private fun mode(state: UiState): Mode = when {
        !wanted || state.permission != Permission.GRANTED -> Mode.IDLE
        holds.isNotEmpty() -> Mode.PAUSED
        else -> Mode.LISTENING
    }

    private suspend fun attempt(measure: Boolean) {
        val job = currentCoroutineContext().job
        try {
            if (measure) measure(job)
            job.show { it.copy(mode = mode(it)) }
            if (shown.value.mode != Mode.LISTENING) return
            job.ensureActive() // else that is the mode of the work that follows
            hear(job)
            job.end(null)
        } catch (problem: Problem) {
            job.end(problem.sentence)
        } catch (cancelled: CancellationException) {
            throw cancelled
        } catch (error: RuntimeException) { // of what the app injects, in closing too
            job.end("listening failed (${firstLine(error)}); start it again")
        }
    }

    private suspend fun hear(job: Job) {
        val file = models.getOrNull(shown.value.chosen)
            ?: throw ModelProblem("there is no model in the app; put a .tflite file into its assets")
        val latency = Latency()
        val digest = lazy { sha256(file.open()) }
        openModel(file) { TimedRunner(openRunner(it), latency, nanoTime) }.use { model ->
            latency.clear() // of the silence that a streaming model begins with
            val before = shown.value
            listen(openSource, Detector(model), model.card, audio) { hop ->
                val kept = hop.hits.map { keep(it, model.card, digest::value) }
                job.show { it.heard(hop, kept, before, latency) }
            }
        }
    }

    private suspend fun measure(job: Job) {
        val tell = { problem: ModelProblem -> job.show { it.copy(message = problem.sentence) } }
        val result = benchmark(models, openRunner, device, nanoTime, tell) { done ->
            job.show { it.copy(benchmark = BenchmarkState(done)) }
        }
        job.show { it.copy(benchmark = result) }
    }

    /** Nothing is listened to any more. */
    private fun Job.end(message: String?) = show {
        wanted = false
        it.resting().copy(mode = Mode.IDLE, message = message ?: it.message)
    }

    /** Shows what work has found, unless a call has ended that work. */
    private fun Job.show(change: (UiState) -> UiState) = synchronized(this@ListenPresenter) {
        if (isActive) shown.value = change(shown.value)
    }
}
