package audioedge.core

import java.nio.ByteBuffer
import org.bytedeco.javacpp.BytePointer
import org.bytedeco.javacpp.Pointer
import org.bytedeco.tensorflowlite.TfLiteTensor
import org.bytedeco.tensorflowlite.global.tensorflowlite as c

/** TensorFlow Lite on the JVM, by its C interface. */
class TfLite(file: ByteBuffer) : ModelRunner {
    private val content = BytePointer(file) // must outlive the model
    private val model = c.TfLiteModelCreate(content, file.limit().toLong())
    private val interpreter = run {
        require(model != null && !model.isNull) { "no model" }
        val options = c.TfLiteInterpreterOptionsCreate()
        c.TfLiteInterpreterOptionsSetNumThreads(options, 1)
        c.TfLiteInterpreterCreate(model, options).also { c.TfLiteInterpreterOptionsDelete(options) }
    }

    init {
        require(c.TfLiteInterpreterAllocateTensors(interpreter) == c.kTfLiteOk) { "tensors do not fit" }
    }

    private val takes = List(c.TfLiteInterpreterGetInputTensorCount(interpreter)) {
        c.TfLiteInterpreterGetInputTensor(interpreter, it)
    }
    private val gives = List(c.TfLiteInterpreterGetOutputTensorCount(interpreter)) {
        c.TfLiteInterpreterGetOutputTensor(interpreter, it)
    }

    override val inputs = takes.map(::told)
    override val outputs = gives.map(::told)

    override fun run(inputs: List<ByteBuffer>): List<ByteBuffer> {
        for ((tensor, value) in takes.zip(inputs)) {
            check(value.isDirect && value.position() == 0)
            check(c.TfLiteTensorCopyFromBuffer(tensor, Pointer(value), value.limit().toLong()) == c.kTfLiteOk)
        }
        check(c.TfLiteInterpreterInvoke(interpreter) == c.kTfLiteOk)
        return gives.map { tensor ->
            val bytes = c.TfLiteTensorByteSize(tensor)
            tensorOf(bytes.toInt()).also { c.TfLiteTensorCopyToBuffer(tensor, Pointer(it), bytes) }
        }
    }

    override fun close() {
        c.TfLiteInterpreterDelete(interpreter)
        c.TfLiteModelDelete(model)
        content.close()
    }

    private fun told(tensor: TfLiteTensor) = Tensor(
        c.TfLiteTensorName(tensor).string,
        List(c.TfLiteTensorNumDims(tensor)) { c.TfLiteTensorDim(tensor, it) },
        c.TfLiteTensorType(tensor) == c.kTfLiteFloat32,
        c.TfLiteTensorByteSize(tensor).toInt(),
    )
}
