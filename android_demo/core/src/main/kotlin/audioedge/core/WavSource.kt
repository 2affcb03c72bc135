package audioedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/**
 * A recording: a RIFF WAV file of mono PCM16; chunks other than its format and its data are passed over.
 *
 * @param name For messages.
 * @param content The whole file.
 * @param packetSamples Of each packet but the last one.
 * @throws AudioProblem the file is something else, or cut off.
 */
class WavSource(private val name: String, content: ByteArray, private val packetSamples: Int = 640) : AudioSource {
    private val bytes = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN)
    private val samples: ShortArray
    private var next = 0

    override val sampleRate: Int

    init {
        if (bytes.limit() < 12 || bytes.text(0, 4) != "RIFF" || bytes.text(8, 4) != "WAVE") {
            fail("is no WAV file")
        }
        val chunks = chunks()
        val (format, size) = chunks["fmt "] ?: fail("has no format")
        val mono = size >= 16 && bytes.getShort(format) == PCM && bytes.getShort(format + 2) == MONO
        if (!mono || bytes.getShort(format + 14) != BITS) fail("is not mono PCM16")
        sampleRate = bytes.getInt(format + 4)
        if (sampleRate <= 0) fail("says $sampleRate Hz")
        val (start, length) = chunks["data"] ?: fail("has no sound")
        samples = ShortArray(length / Short.SIZE_BYTES) { bytes.getShort(start + it * Short.SIZE_BYTES) }
    }

    override fun read(): ShortArray? {
        if (next >= samples.size) return null
        val end = minOf(next + packetSamples, samples.size)
        return samples.copyOfRange(next, end).also { next = end }
    }

    override fun close() = Unit

    /** Where the content of each chunk begins, and its bytes; the first of a name. */
    private fun chunks(): Map<String, Pair<Int, Int>> {
        val found = mutableMapOf<String, Pair<Int, Int>>()
        var at = 12
        while (at + HEADER <= bytes.limit()) {
            val size = bytes.getInt(at + 4)
            val start = at + HEADER
            if (size < 0 || size > bytes.limit() - start) fail("is cut off")
            found.putIfAbsent(bytes.text(at, 4), start to size)
            at = start + size + size % 2 // chunks begin at even places
        }
        return found
    }

    private fun fail(what: String): Nothing =
        throw AudioProblem("$name: $what; write it as a WAV file of mono PCM16")

    private companion object {
        const val HEADER = 8
        const val PCM: Short = 1
        const val MONO: Short = 1
        const val BITS: Short = 16
    }
}
