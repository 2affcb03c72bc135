package audioedge.core

import java.nio.ByteBuffer
import kotlin.math.floor

/** Milliseconds of the latest [size] inferences. */
class Latency(private val size: Int = 200) {
    private val times = ArrayDeque<Double>()

    fun add(ms: Double) {
        times.addLast(ms)
        if (times.size > size) times.removeFirst()
    }

    fun clear() = times.clear()

    /** A percentile, linear between ranks as NumPy has it; null before the first inference. */
    fun percentile(percent: Double): Double? {
        if (times.isEmpty()) return null
        val sorted = times.sorted()
        val rank = percent / 100 * (sorted.size - 1)
        val below = floor(rank).toInt()
        val above = minOf(below + 1, sorted.size - 1)
        return sorted[below] + (sorted[above] - sorted[below]) * (rank - below)
    }
}

/** A runner whose inferences, and nothing else, are timed. */
internal class TimedRunner(
    private val runner: ModelRunner,
    private val latency: Latency,
    private val nanoTime: () -> Long,
) : ModelRunner by runner {
    override fun run(inputs: List<ByteBuffer>): List<ByteBuffer> {
        val began = nanoTime()
        return runner.run(inputs).also { latency.add((nanoTime() - began) / 1e6) }
    }
}
