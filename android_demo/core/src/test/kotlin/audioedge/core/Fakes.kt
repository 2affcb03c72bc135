package audioedge.core

import java.nio.ByteBuffer
import java.util.concurrent.LinkedBlockingQueue
import java.util.concurrent.TimeUnit

/** How often something was opened, how many are open, and the most that were at once. */
class Count {
    var opened = 0
        @Synchronized get
        private set
    var open = 0
        @Synchronized get
        private set
    var most = 0
        @Synchronized get
        private set

    @Synchronized
    fun opened() {
        opened += 1
        open += 1
        most = maxOf(most, open)
    }

    @Synchronized
    fun closed() {
        open -= 1
    }
}

/** A microphone that hears what a test puts into [sound], and nothing for ever behind that. */
class FakeMicrophone(private val gives: Int? = null) {
    val sound = LinkedBlockingQueue<() -> ShortArray?>()
    val count = Count()

    fun hears(vararg packets: ShortArray) = packets.forEach { packet -> sound.put { packet } }

    fun open(sampleRate: Int): AudioSource {
        count.opened()
        return object : AudioSource {
            override val sampleRate = gives ?: sampleRate
            override fun read() = (sound.poll(5, TimeUnit.MILLISECONDS) ?: { ShortArray(0) })()
            override fun close() = count.closed()
        }
    }
}

/** A runner that gives what [infer] makes of its first input; states come back one higher. */
class FakeRunner(
    override val inputs: List<Tensor>,
    override val outputs: List<Tensor>,
    private val count: Count = Count(),
    private val infer: (FloatArray) -> FloatArray,
) : ModelRunner {
    val heard = mutableListOf<List<ByteBuffer>>()

    init {
        count.opened()
    }

    override fun run(inputs: List<ByteBuffer>): List<ByteBuffer> {
        heard += inputs
        val values = inputs.map { input -> List(input.remaining() / 4) { input.getFloat() } } // moves on, as some runtimes do
        val states = values.drop(1).map { state -> state.map { it + 1 } }
        val results = listOf(infer(values[0].toFloatArray()).toList()) + states
        return results.map { floatTensor(it).between(4 * it.size, 4 * it.size) }
    }

    override fun close() = count.closed()
}

fun floatTensor(values: List<Float>): ByteBuffer =
    tensorOf(4 * values.size).apply { values.forEach(::putFloat) }.between(0, 4 * values.size)

fun floats(name: String, vararg shape: Int) =
    Tensor(name, shape.toList(), true, 4 * shape.fold(1, Int::times))

/** A runner of clips of 100 samples that hears "high" in what is above 0.5 throughout its newest 10, else silence. */
fun clipRunner(count: Count = Count(), clip: Int = 100) =
    FakeRunner(listOf(floats("waveform", 1, clip)), listOf(floats("probs", 1, 2)), count) { samples ->
        val high = samples.takeLast(10).all { it > 0.5f }
        if (high) floatArrayOf(0f, 1f) else floatArrayOf(1f, 0f)
    }

/** A card as JSON: 1000 Hz, clips of 100 samples, a look every 10. */
fun cardText(vararg changes: Pair<String, String?>): String {
    val usual = mapOf(
        "format" to "1", "labels" to """["silence", "high"]""", "sample_rate" to "1000", "clip_samples" to "100",
        "detector" to """{"hop_s": 0.01, "window_s": 0.02, "threshold": 0.7, "refractory_s": 0.05}""",
    )
    val values = (usual + changes).filterValues { it != null }
    return values.entries.joinToString(",", "{", "}") { (key, value) -> "\"$key\": $value" }
}

/** A file that carries a card; its model is not one that any runtime would load. */
fun carded(text: String = cardText(), labels: String = "silence\nhigh\n"): ByteArray {
    val model = "....TFL3 and a model".encodeToByteArray()
    val whole = text.dropLast(1) + """, "hashes": {"buffers": "${sha256(ByteBuffer.wrap(model))}"}}"""
    val zip = CardZip(model.size, whole.encodeToByteArray(), labels.encodeToByteArray()).bytes()
    return model + ByteArray(zip.limit()).also(zip::get)
}

fun fake(name: String = "fake.tflite", content: ByteArray = carded()) = ModelFile(name) { direct(content) }

fun constant(value: Int, size: Int) = ShortArray(size) { value.toShort() }
