package audioedge.core

import kotlin.math.ceil
import kotlin.math.max
import kotlin.math.round

/**
 * When to ask the model: once a clip has arrived, then every hop; it counts samples and reads no clock.
 *
 * Rounding is Python's, half to even, so that both hear at the same samples.
 *
 * @param packetSamples Of a streaming model, which can answer after whole packets only; else 1.
 */
class HopScheduler(card: ModelCard, private val packetSamples: Int) {
    /** Samples between two inferences. */
    val hopSamples: Int = max(1, round(card.detector.hopS * card.sampleRate / packetSamples).toInt()) * packetSamples

    /** The same in seconds. */
    val hopS: Double = if (packetSamples > 1) hopSamples.toDouble() / card.sampleRate else card.detector.hopS

    private val clipSamples = card.clipSamples
    private var until = 0 // samples until the next inference

    init {
        reset()
    }

    /** Begins a new stream. */
    fun reset() {
        until = ceilDiv(clipSamples, packetSamples) * packetSamples
    }

    /** Of the next [count] samples, how many come before the model is asked; null if it is not asked yet. */
    fun next(count: Int): Int? {
        require(count <= hopSamples) { "samples must be at most $hopSamples. Received: $count" }
        val due = until
        until -= count
        if (count < due) return null
        until += hopSamples
        return due
    }

    /** Whole hops next to a length of time, at least 1. */
    fun nearest(seconds: Double): Int = max(1, round(seconds / hopS).toInt())

    /** Whole hops that cover a length of time, forgiving of rounding in the last digits. */
    fun covering(seconds: Double): Int = max(0, ceil(seconds / hopS - 1e-6).toInt())

    private fun ceilDiv(a: Int, b: Int): Int = (a + b - 1) / b
}
