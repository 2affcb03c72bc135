package audioedge.core

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A WAV file of mono PCM16, as [WavSource] and Python read it. */
fun wav(samples: ShortArray, sampleRate: Int): ByteArray {
    val size = samples.size * Short.SIZE_BYTES
    val file = ByteBuffer.allocate(HEAD + size).order(ByteOrder.LITTLE_ENDIAN)
    file.put("RIFF".encodeToByteArray()).putInt(HEAD - 8 + size).put("WAVEfmt ".encodeToByteArray())
    file.putInt(16).putShort(1).putShort(1) // PCM, mono
    file.putInt(sampleRate).putInt(sampleRate * Short.SIZE_BYTES).putShort(Short.SIZE_BYTES.toShort()).putShort(16)
    file.put("data".encodeToByteArray()).putInt(size)
    samples.forEach(file::putShort)
    return file.array()
}

private const val HEAD = 44 // bytes before the samples
