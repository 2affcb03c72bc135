package audioedge.core

import java.io.Closeable
import java.nio.ByteBuffer

/** A tensor as the runtime tells of it; [bytes] is the size of all its values. */
data class Tensor(val name: String, val shape: List<Int>, val isFloat32: Boolean, val bytes: Int)

/** A loaded model: the runtime's interpreter behind the one call that is needed of it. */
interface ModelRunner : Closeable {
    val inputs: List<Tensor>
    val outputs: List<Tensor>

    /**
     * One inference.
     *
     * @param inputs A direct buffer in native order for each of [ModelRunner.inputs], read from its
     *   beginning to its end and not kept.
     * @return The same for each of [outputs], fresh: the caller keeps them and may hand them in again.
     */
    fun run(inputs: List<ByteBuffer>): List<ByteBuffer>
}

/** A model to choose from: the name that the user reads, and the whole file in a direct buffer. */
class ModelFile(val name: String, val open: () -> ByteBuffer)
