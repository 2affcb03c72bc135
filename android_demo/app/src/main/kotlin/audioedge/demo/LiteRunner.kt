package audioedge.demo

import audioedge.core.ModelRunner
import org.tensorflow.lite.DataType
import org.tensorflow.lite.Interpreter
import java.nio.ByteBuffer
import java.nio.ByteOrder
import audioedge.core.Tensor as Described
import org.tensorflow.lite.Tensor as LiteTensor

/** TensorFlow Lite with XNNPACK on one thread. */
class LiteRunner(model: ByteBuffer) : ModelRunner {
    private val interpreter = Interpreter(model, Interpreter.Options().setNumThreads(1).setUseXNNPACK(true))

    override val inputs: List<Described>
    override val outputs: List<Described>

    init {
        try {
            inputs = List(interpreter.inputTensorCount) { describe(interpreter.getInputTensor(it)) }
            outputs = List(interpreter.outputTensorCount) { describe(interpreter.getOutputTensor(it)) }
        } catch (error: Throwable) {
            interpreter.close()
            throw error
        }
    }

    override fun run(inputs: List<ByteBuffer>): List<ByteBuffer> {
        val results = outputs.map { ByteBuffer.allocateDirect(it.bytes).order(ByteOrder.nativeOrder()) }
        val places: Map<Int, Any> = results.withIndex().associate { (index, buffer) -> index to buffer }
        interpreter.runForMultipleInputsOutputs(inputs.toTypedArray(), places)
        return results
    }

    override fun close() = interpreter.close()
}

private fun describe(tensor: LiteTensor) =
    Described(tensor.name(), tensor.shape().toList(), tensor.dataType() == DataType.FLOAT32, tensor.numBytes())
