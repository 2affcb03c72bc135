package audioedge.core

import java.util.Locale

/** How a label is smoothed: [window], [refractory] and [hold] in hops. */
data class Smoothing(val window: Int, val threshold: Double, val refractory: Int, val hold: Int)

/** What fired: the index of its label, and its score. */
data class Fired(val label: Int, val score: Float)

/**
 * Decides from one vector of probabilities a hop whether a label was heard.
 *
 * The twin of `audio_edge/smoother.py`, equal to the bit: both replay tests/golden/smoothing.json.
 * The score of a label is the mean of its last [Smoothing.window] probabilities, those before the
 * beginning counted as 0: summed as doubles, the oldest first, divided, rounded to float. A label
 * fires when all of these hold:
 *
 * - its score is the highest of all labels, the first of equals, and at least its threshold;
 * - it is neither silence nor unknown;
 * - as many hops have passed since a label fired as the refractory of that label says;
 * - it did not fire last, or its score has been below its threshold since, or its hold has passed.
 */
class PosteriorSmoother(labels: List<String>, private val settings: List<Smoothing>) {
    private val ignored = labels.map { it.lowercase(Locale.ROOT) in IGNORED }
    private val thresholds = settings.map { it.threshold.toFloat() } // as exact as the scores
    private val longest = settings.maxOf { it.window }
    private val rows = ArrayDeque<FloatArray>() // the latest, the oldest first
    private var since = 0 // hops since a label fired
    private var pause = 0 // and how many must pass
    private var blocked = NONE // the label that fired last, until it may fire again

    /** Smoothed scores after the latest hop, a fresh array each time; null before the first. */
    var scores: FloatArray? = null
        private set

    init {
        require(settings.size == labels.size) { "one setting for each label must be given" }
        require(settings.all { it.window >= 1 && it.refractory >= 0 && it.hold >= 1 }) {
            "window and hold must be >= 1, refractory >= 0"
        }
    }

    /** Forgets everything. */
    fun reset() {
        rows.clear()
        since = 0
        pause = 0
        blocked = NONE
        scores = null
    }

    /** Takes the probabilities of the next hop, one for each label; what fires, or null. */
    fun step(probs: FloatArray): Fired? {
        require(probs.size == settings.size) { "probs must be [${settings.size}]" }
        rows.addLast(probs.copyOf())
        if (rows.size > longest) rows.removeFirst()
        val scores = FloatArray(probs.size, ::mean)
        this.scores = scores
        since += 1
        if (blocked != NONE && (scores[blocked] < thresholds[blocked] || since >= settings[blocked].hold)) {
            blocked = NONE
        }
        val best = scores.indices.maxBy { scores[it] } // the first of equals
        val fires = scores[best] >= thresholds[best] && best != blocked && !ignored[best] && since >= pause
        if (!fires) return null
        since = 0
        pause = settings[best].refractory
        blocked = best
        return Fired(best, scores[best])
    }

    private fun mean(label: Int): Float {
        val window = settings[label].window
        var total = 0.0
        for (row in maxOf(0, rows.size - window) until rows.size) total += rows[row][label].toDouble()
        return (total / window).toFloat()
    }

    private companion object {
        const val NONE = -1
        val IGNORED = setOf("silence", "unknown", "_silence_", "_unknown_")
    }
}
