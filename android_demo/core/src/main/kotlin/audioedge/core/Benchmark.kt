package audioedge.core

import java.nio.ByteBuffer
import kotlin.random.Random
import kotlinx.coroutines.yield

private const val WARM_UP = 20
private const val RUNS = 200
private const val NOISE = 3000 // about -25 dB of full scale

/** A file that was measured. */
internal class Measured(
    val name: String,
    val card: ModelCard,
    val sha256: String,
    val sizeBytes: Int,
    val p50Ms: Double,
    val p90Ms: Double,
)

/**
 * Times [RUNS] inferences of each file, in turn, so that whatever slows the device slows all alike.
 *
 * @param problem Told of each file that cannot be used; the others are measured.
 * @throws ModelProblem no file can be used, or one fails on the way.
 */
internal suspend fun benchmark(
    files: List<ModelFile>,
    openRunner: (ByteBuffer) -> ModelRunner,
    device: Device,
    nanoTime: () -> Long,
    problem: (ModelProblem) -> Unit,
    progress: (Float) -> Unit,
): BenchmarkState {
    val entries = mutableListOf<Entry>()
    try {
        for (file in files) {
            try {
                entries += Entry(file, openRunner, nanoTime)
            } catch (error: ModelProblem) {
                problem(error)
            }
        }
        val random = Random(0)
        for (round in 0 until WARM_UP + RUNS) {
            if (round == WARM_UP) entries.forEach { it.latency.clear() }
            entries.forEach { it.hear(random) }
            progress((round + 1f) / (WARM_UP + RUNS))
            yield() // ends here when cancelled
        }
        val measured = entries.map(Entry::measured)
        val rows = measured.map { BenchmarkRow(it.name, it.p50Ms, it.p90Ms) }
        return BenchmarkState(1f, rows, if (rows.isEmpty()) null else benchmarkJson(device, RUNS, measured))
    } finally {
        entries.forEach { it.model.close() }
    }
}

/** A file while it is measured. */
private class Entry(private val file: ModelFile, openRunner: (ByteBuffer) -> ModelRunner, nanoTime: () -> Long) {
    val latency = Latency(RUNS)
    val model = openModel(file) { TimedRunner(openRunner(it), latency, nanoTime) }

    /** One inference of the packet or clip that comes next. */
    fun hear(random: Random) {
        model.push(ShortArray(model.card.stepSamples) { random.nextInt(-NOISE, NOISE).toShort() })
        model.probs()
    }

    fun measured(): Measured {
        val content = file.open()
        return Measured(
            file.name, model.card, sha256(content), content.limit(),
            latency.percentile(50.0)!!, latency.percentile(90.0)!!,
        )
    }
}
