package audioedge.core

import java.io.Closeable
import java.nio.ByteBuffer

/**
 * A model that hears one stream, PCM16 in and probabilities out, whether it takes clips or packets.
 *
 * One thread at a time may use it.
 */
interface Model : Closeable {
    val card: ModelCard

    /** It can answer after whole packets of so many samples; 1 means any time. */
    val packetSamples: Int

    /** Begins a new stream, as if there had been silence for ever. */
    fun reset()

    /** Takes the next samples, any number of them. */
    fun push(samples: ShortArray)

    /** The probability of each label in the clip that ends now, or with the latest packet. */
    fun probs(): FloatArray
}

/**
 * Opens a file, its card and its tensors checked.
 *
 * @param openRunner Loads the whole file into the runtime.
 * @throws ModelProblem the file is empty, damaged, without a card, or not what its card says.
 */
fun openModel(file: ModelFile, openRunner: (ByteBuffer) -> ModelRunner): Model {
    val content = attempt(file, "cannot be read") { file.open() }
    val card = readCard(file.name, content)
    val runner = attempt(file, "the runtime cannot load it") { openRunner(content.duplicate()) }
    return try {
        if (card.streaming == null) ClipModel(file.name, card, runner) else StreamModel(file.name, card, card.streaming, runner)
    } catch (error: Throwable) {
        runner.close()
        throw error
    }
}

/** One inference; it leaves the places of [inputs] alone, and tells a failure in a sentence. */
internal fun ModelRunner.infer(file: String, inputs: List<ByteBuffer>): List<ByteBuffer> =
    try {
        run(inputs.map(::again)).map(::again)
    } catch (error: RuntimeException) {
        throw ModelProblem("$file: the runtime cannot run it (${firstLine(error)}); copy or export it again", error)
    }

private fun <T> attempt(file: ModelFile, rule: String, action: () -> T): T =
    try {
        action()
    } catch (error: Exception) {
        throw ModelProblem("${file.name}: $rule (${firstLine(error)}); copy or export it again", error)
    } catch (error: LinkageError) { // the native library is missing
        throw ModelProblem("${file.name}: $rule (${firstLine(error)}); this phone may want a newer TensorFlow Lite", error)
    }
