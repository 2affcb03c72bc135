package audioedge.core

import java.io.Closeable

/** Audio that comes packet by packet: a microphone or a recording, mono. */
interface AudioSource : Closeable {
    /** Hz. */
    val sampleRate: Int

    /**
     * Waits for the next packet of PCM16, a fresh array of any length each time; null at the end.
     *
     * It should wait for a fraction of a second at most: listening ends between two calls.
     *
     * @throws AudioProblem the source is gone.
     */
    fun read(): ShortArray?
}
