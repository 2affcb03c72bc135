package audioedge.core

import java.nio.ByteBuffer

/**
 * A model that takes packets and hands its state from one to the next, as plain tensors.
 *
 * The twin of `audio_edge/streaming_interpreter.py`: a stream begins with the state that so many
 * packets of silence leave behind.
 */
internal class StreamModel(
    private val file: String,
    override val card: ModelCard,
    private val streaming: Streaming,
    private val runner: ModelRunner,
) : Model {
    override val packetSamples = streaming.packetSamples

    private val packet = runner.inputs.find("packet")
    private val before = streaming.states.map { runner.inputs.find("state_$it") }
    private val probs = runner.outputs.find("probs")
    private val after = streaming.states.map { runner.outputs.find("next_$it") }
    private val silence: List<ByteBuffer> // the states
    private var states: List<ByteBuffer>
    private var waiting = ShortArray(0) // less than a packet
    private var newest = FloatArray(card.labels.size)

    init {
        check(runner.inputs[packet].isVector(packetSamples) && runner.outputs[probs].isVector(card.labels.size)) {
            "$packetSamples samples and ${card.labels.size} labels"
        }
        check(runner.inputs.size == before.size + 1) { "${before.size} states" }
        for ((taken, given) in before.zip(after)) {
            check(runner.inputs[taken].bytes == runner.outputs[given].bytes) { runner.inputs[taken].name }
        }
        states = before.map { tensorOf(runner.inputs[it].bytes) }
        repeat(streaming.silencePackets) { step(ShortArray(packetSamples)) }
        silence = states
    }

    override fun reset() {
        states = silence
        waiting = ShortArray(0)
    }

    override fun push(samples: ShortArray) {
        val packets = (waiting + samples).hops(packetSamples)
        waiting = packets.lastOrNull()?.takeIf { it.size < packetSamples } ?: ShortArray(0)
        for (whole in packets) if (whole.size == packetSamples) step(whole)
    }

    override fun probs(): FloatArray = newest.copyOf()

    override fun close() = runner.close()

    private fun step(samples: ShortArray) {
        val given = arrayOfNulls<ByteBuffer>(runner.inputs.size)
        given[packet] = tensorOf(samples)
        for ((place, state) in before.zip(states)) given[place] = state
        val results = runner.infer(file, given.map { it!! })
        states = after.map { results[it] }
        newest = floatsOf(results[probs])
    }

    private fun List<Tensor>.find(name: String): Int {
        val place = indexOfFirst { it.name == name }
        check(place >= 0) { name }
        return place
    }

    private fun check(fits: Boolean, named: () -> String) {
        if (!fits) throw ModelProblem("$file: the card names ${named()}, which the model has not; export it again")
    }
}
