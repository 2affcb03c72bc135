package audioedge.core

/** A model that takes whole clips: the newest one whenever it is asked. */
internal class ClipModel(
    private val file: String,
    override val card: ModelCard,
    private val runner: ModelRunner,
) : Model {
    private val newest: RingBuffer
    override val packetSamples = 1

    init {
        val takes = runner.inputs.singleOrNull()
        val gives = runner.outputs.firstOrNull()
        val fits = takes?.isVector(card.clipSamples) == true && gives?.isVector(card.labels.size) == true
        if (!fits) {
            throw ModelProblem(
                "$file: the card says ${card.clipSamples} samples and ${card.labels.size} labels in float32, " +
                    "the model takes ${runner.inputs.map { it.shape }} and gives ${runner.outputs.map { it.shape }}; " +
                    "export it again",
            )
        }
        newest = RingBuffer(card.clipSamples) // of a size that the model has too
    }

    override fun reset() = newest.clear()

    override fun push(samples: ShortArray) = newest.push(samples)

    override fun probs(): FloatArray = floatsOf(runner.infer(file, listOf(tensorOf(newest.newest())))[0])

    override fun close() = runner.close()
}

/** Whether it holds [size] float32 values in a row. */
internal fun Tensor.isVector(size: Int): Boolean =
    isFloat32 && shape.lastOrNull() == size && shape.dropLast(1).all { it == 1 }
