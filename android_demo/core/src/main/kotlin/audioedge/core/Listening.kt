package audioedge.core

import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import kotlinx.coroutines.yield

/** A detection, the smoothed [scores] of all labels, and the last [HIT_S] seconds of [sound] before it. */
class Hit(val detection: Detection, val scores: FloatArray, val sound: ShortArray)

/** A packet was heard: its level, what was detected in it, and the seconds of sound that passed and were dropped. */
class Hop(val levelDb: Double, val hits: List<Hit>, val endS: Double, val droppedS: Double) {
    /** What was detected, without its sound. */
    val detections: List<Detection> get() = hits.map { it.detection }
}

/** Seconds of sound that a [Hit] has. */
const val HIT_S = 2

private const val QUEUE_CLIPS = 2 // more than one, so that a model of clips gets whole ones between two gaps

/**
 * From the microphone to labels, until the source ends or the caller is cancelled. The whole path is
 * [AudioSource], this, [Detector] and what its [Model] is: a [ClipModel] or a [StreamModel].
 *
 * The source is opened, read and closed on [audio]; the detector works where this is called. Where it is
 * too slow, sound is dropped and a new stream begins behind the gap, as Python's `listen` does when a
 * microphone was lost: the model never hears two moments joined that were apart. Times go on across it.
 *
 * @throws AudioProblem the source cannot be opened at the model's rate, or was lost.
 * @throws ModelProblem the runtime fails on the model.
 */
suspend fun listen(
    openSource: (sampleRate: Int) -> AudioSource,
    detector: Detector,
    card: ModelCard,
    audio: CoroutineDispatcher,
    hear: (Hop) -> Unit,
) = coroutineScope {
    val queue = PacketQueue(QUEUE_CLIPS * card.clipSamples.toLong())
    val rate = card.sampleRate.toDouble()
    launch(audio) {
        open(openSource, card.sampleRate).use { source ->
            do {
                yield() // ends here when cancelled
                val samples = read(source)?.also(queue::offer)
            } while (samples != null)
        }
        queue.end()
    }
    val newest = RingBuffer(HIT_S * card.sampleRate)
    detector.reset()
    var begun = 0L // where this stream lies in the sound
    var end = 0L
    while (true) {
        val packet = queue.take() ?: break
        if (packet.start != end) {
            detector.reset()
            newest.clear()
            begun = packet.start
        }
        end = packet.start + packet.samples.size
        val hits = packet.samples.hops(detector.hopSamples).mapNotNull { samples ->
            newest.push(samples)
            detector.push(samples)?.let { found ->
                Hit(found.copy(timeS = found.timeS + begun / rate), detector.scores!!, newest.newest())
            }
        }
        hear(Hop(levelDb(packet.samples), hits, end / rate, queue.dropped / rate))
        yield()
    }
}

private fun open(openSource: (Int) -> AudioSource, sampleRate: Int): AudioSource {
    val source = attempt("cannot be opened at $sampleRate Hz") { openSource(sampleRate) }
    if (source.sampleRate == sampleRate) return source
    source.close()
    throw AudioProblem(
        "the microphone gives ${source.sampleRate} Hz and the model wants $sampleRate Hz; choose a model of that rate",
    )
}

private fun read(source: AudioSource): ShortArray? = attempt("was lost") { source.read() }

private fun <T> attempt(what: String, action: () -> T): T =
    try {
        action()
    } catch (problem: Problem) {
        throw problem
    } catch (error: RuntimeException) { // whatever the system has against it
        throw AudioProblem("the microphone $what (${firstLine(error)}); close other apps that use it", error)
    }
