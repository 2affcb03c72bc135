package audioedge.core

/** Whether the user lets the app hear. */
enum class Permission { UNKNOWN, GRANTED, REFUSED }

/** What the app is doing; PAUSED is asked to listen, and held back. */
enum class Mode { IDLE, LISTENING, PAUSED, BENCHMARK }

/** Who holds listening back: another app has the sound, or the screen is not shown. */
enum class Hold { FOCUS, SCREEN }

/** A line of the log: [timeS] are seconds of sound since the app began to listen; [kept] is its name, if it is kept. */
data class Heard(val label: String, val score: Float, val timeS: Double, val kept: String? = null)

/** Figures of one file in the benchmark, milliseconds of one inference. */
data class BenchmarkRow(val name: String, val p50Ms: Double, val p90Ms: Double)

/**
 * A benchmark: [progress] in [0, 1], and at its end the [rows] and their [json], which
 * `python -m benchmarks.table` reads.
 */
data class BenchmarkState(
    val progress: Float,
    val rows: List<BenchmarkRow> = emptyList(),
    val json: String? = null,
)

/**
 * All that the screen shows.
 *
 * @property models The name of each file.
 * @property chosen Which of them hears.
 * @property levelDb Of the latest packet, dB of full scale.
 * @property log The newest first, at most [LOG_SIZE].
 * @property p50Ms Of the latest inferences of this model; null before the first.
 * @property heardS Seconds of sound so far.
 * @property droppedMs Of them, milliseconds that inference was too slow to hear.
 * @property message One sentence about what went wrong last.
 */
data class UiState(
    val permission: Permission = Permission.UNKNOWN,
    val mode: Mode = Mode.IDLE,
    val models: List<String> = emptyList(),
    val chosen: Int = 0,
    val levelDb: Double = FLOOR_DB,
    val log: List<Heard> = emptyList(),
    val p50Ms: Double? = null,
    val p90Ms: Double? = null,
    val heardS: Double = 0.0,
    val droppedMs: Long = 0,
    val message: String? = null,
    val benchmark: BenchmarkState? = null,
) {
    companion object {
        const val LOG_SIZE = 100
    }
}

/** With no level, and of a benchmark no more than its results. */
internal fun UiState.resting() = copy(levelDb = FLOOR_DB, benchmark = benchmark?.takeIf { it.json != null })

/** With what a hop brought and the names of its hits, [before] being what was shown when listening began. */
internal fun UiState.heard(hop: Hop, kept: List<String?>, before: UiState, latency: Latency): UiState {
    val found = hop.detections.mapIndexed { at, it -> Heard(it.label, it.score, before.heardS + it.timeS, kept[at]) }
    return copy(
        levelDb = hop.levelDb,
        log = (found.reversed() + log).take(UiState.LOG_SIZE),
        p50Ms = latency.percentile(50.0),
        p90Ms = latency.percentile(90.0),
        heardS = before.heardS + hop.endS,
        droppedMs = before.droppedMs + (1000 * hop.droppedS).toLong(),
    )
}
