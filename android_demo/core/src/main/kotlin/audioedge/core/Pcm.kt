package audioedge.core

import java.nio.Buffer
import java.nio.ByteBuffer
import java.nio.ByteOrder

/** A PCM16 sample in [-1, 1): the only arithmetic between the microphone and the model. */
fun asFloat(sample: Short): Float = sample / 32768f

/** Samples as a float32 tensor, a fresh buffer each time. */
internal fun tensorOf(samples: ShortArray): ByteBuffer {
    val buffer = tensorOf(samples.size * Float.SIZE_BYTES)
    for (sample in samples) buffer.putFloat(asFloat(sample))
    return buffer.between(0, buffer.limit())
}

/** A fresh tensor of zero bytes: direct and in native order, as the runtimes want it. */
internal fun tensorOf(bytes: Int): ByteBuffer = ByteBuffer.allocateDirect(bytes).order(ByteOrder.nativeOrder())

/** The same tensor, to be read from its beginning wherever it was read before. */
internal fun again(tensor: ByteBuffer): ByteBuffer =
    tensor.duplicate().order(ByteOrder.nativeOrder()).between(0, tensor.limit())

/** The float32 values of a tensor, in a fresh array. */
internal fun floatsOf(tensor: ByteBuffer): FloatArray {
    val floats = again(tensor).asFloatBuffer()
    return FloatArray(floats.remaining()).also(floats::get)
}

/** Sets what is read next: from [start] to [end]. Of Buffer, since ByteBuffer's own methods came after Android 8. */
internal fun <B : Buffer> B.between(start: Int, end: Int): B = apply {
    limit(end)
    position(start)
}
