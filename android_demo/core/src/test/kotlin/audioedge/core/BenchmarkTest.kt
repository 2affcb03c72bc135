package audioedge.core

import java.io.File
import kotlinx.coroutines.runBlocking
import kotlinx.serialization.json.Json
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class BenchmarkTest {
    private val phone = Device("Phone", "arm64-v8a", 8, "Android 16", "6.1.99", "tensorflow_lite", "2.16.1")
    private val files = listOf("model_float.tflite", "model_int8.tflite", "model_int8_streaming.tflite").map(::model)

    /**
     * Python puts the golden file into a table; it is written anew from target/phone.json.
     *
     * A clock of its own makes the figures the same every time: the n-th inference takes 100 + n % 50 us.
     */
    @Test
    fun `the result is the golden JSON`() = runBlocking {
        var calls = 0L
        var now = 0L
        val clock = { now.also { now += 1000 * (100 + calls++ / 2 % 50) } }
        val found = Json.parseToJsonElement(benchmark(files, ::TfLite, phone, clock, { throw it }, {}).json!!)
        File("target/phone.json").apply { parentFile.mkdirs() }.writeText("$found\n")
        assertEquals(golden("phone.json"), found)
    }

    @Test
    fun `each file is timed 200 times, in turn, after a warm-up`() = runBlocking {
        val turns = mutableListOf<String>()
        val fakes = listOf("a", "b").map { fake(it) }
        val progress = mutableListOf<Float>()
        val opened = mutableListOf<FakeRunner>()
        benchmark(
            fakes, { clipRunner().also { runner -> opened += runner } }, phone, System::nanoTime, { throw it },
        ) { progress += it.also { turns += opened.joinToString { runner -> "${runner.heard.size}" } } }
        assertEquals(List(220) { "${it + 1}, ${it + 1}" }, turns)
        assertEquals(1f, progress.last())
        assertTrue(progress.zipWithNext().all { (a, b) -> a < b })
        assertTrue(opened[0].heard.map { floatsOf(it[0])[0] }.toSet().size > 100, "not one sound over and over")
    }
}
