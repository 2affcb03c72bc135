package audioedge.core

/** A label heard, its smoothed score in [0, 1], and the second of the stream where it was. */
data class Detection(val label: String, val score: Float, val timeS: Double)

/**
 * From a stream of audio to detections; the twin of `audio_edge/detector.py`.
 *
 * The settings come from the model's card, those of single labels too. It does not close the model.
 */
class Detector(private val model: Model) {
    private val card = model.card
    private val schedule = HopScheduler(card, model.packetSamples)
    private val smoother = PosteriorSmoother(card.labels, card.labels.map { smoothing(card.settings(it)) })
    private var pushed = 0L

    /** The most samples that [push] takes at once: those between two inferences. */
    val hopSamples: Int = schedule.hopSamples

    /** Smoothed scores after the latest inference; null before the first. */
    val scores: FloatArray? get() = smoother.scores

    /** Begins a new stream. */
    fun reset() {
        model.reset()
        schedule.reset()
        smoother.reset()
        pushed = 0
    }

    /**
     * Takes the next samples of the stream, PCM16, at most [hopSamples].
     *
     * A label fires when its sound has just come whole into the window, so it is said to have been
     * [BEHIND] of a clip before the window's end.
     */
    fun push(samples: ShortArray): Detection? {
        val due = schedule.next(samples.size)
        if (due == null) {
            append(samples)
            return null
        }
        append(samples.copyOfRange(0, due))
        val probs = model.probs()
        val end = pushed
        append(samples.copyOfRange(due, samples.size))
        val fired = smoother.step(probs) ?: return null
        return Detection(card.labels[fired.label], fired.score, (end - BEHIND * card.clipSamples) / card.sampleRate)
    }

    /**
     * All detections in a recording, heard with one clip of silence before it and one after it; their
     * times from the recording's beginning, within it.
     */
    fun detect(recording: ShortArray): List<Detection> {
        reset()
        val silence = ShortArray(card.clipSamples)
        val clipS = card.clipSamples.toDouble() / card.sampleRate
        val lengthS = recording.size.toDouble() / card.sampleRate
        return (silence + recording + silence).hops(hopSamples).mapNotNull(::push).map {
            it.copy(timeS = (it.timeS - clipS).coerceIn(0.0, lengthS))
        }
    }

    private fun append(samples: ShortArray) {
        model.push(samples)
        pushed += samples.size
    }

    private fun smoothing(config: DetectorConfig) = Smoothing(
        window = schedule.nearest(config.windowS),
        threshold = config.threshold,
        refractory = schedule.covering(config.refractoryS),
        hold = schedule.covering(card.clipSamples.toDouble() / card.sampleRate + config.windowS),
    )

    private companion object {
        const val BEHIND = 0.35 // of a clip: where a word's middle lies when it fires
    }
}

/** Fresh pieces of at most [size] samples, in order. */
internal fun ShortArray.hops(size: Int): List<ShortArray> =
    indices.step(size).map { copyOfRange(it, minOf(it + size, this.size)) }
