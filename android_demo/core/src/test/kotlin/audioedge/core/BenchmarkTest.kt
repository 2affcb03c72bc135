package audioedge.core

import kotlinx.coroutines.test.runTest
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.double
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

class BenchmarkTest {
    private val phone = Device("Phone", "arm64-v8a", 8, "Android 16", "6.1.99", "tensorflow_lite", "2.16.1")
    private val files = listOf("model_float.tflite", "model_int8.tflite", "model_int8_streaming.tflite").map(::model)

    /** A clock of its own makes the figures the same every time: the n-th inference takes 100 + n % 50 us. */
    private suspend fun measured(): BenchmarkState {
        var calls = 0L
        var now = 0L
        val clock = { now.also { now += 1000 * (100 + calls++ / 2 % 50) } }
        return benchmark(files, ::TfLite, phone, clock, { throw it }, {})
    }

    /** Python puts the golden file into a table; it is written anew from target/phone.json. */
    @Test
    fun `the result is the golden JSON`() = runTest {
        val found = Json.parseToJsonElement(measured().json!!)
        java.io.File("target/phone.json").apply { parentFile.mkdirs() }.writeText("$found\n")
        assertEquals(golden("phone.json"), found)
    }

    @Test
    fun `each file is timed 200 times, in turn, after a warm-up`() = runTest {
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

    @Test
    fun `rtf is of a packet where a stream is heard`() = runTest {
        val rows = Json.parseToJsonElement(measured().json!!).jsonObject["rows"]!!.jsonArray.map { it.jsonObject }
        for ((row, seconds) in rows.zip(listOf(1.0, 1.0, 0.04))) {
            val facts = row["latency"]!!.jsonObject["tensorflow_lite"]!!.jsonObject
            assertEquals(facts["p50_ms"]!!.jsonPrimitive.double / 1000 / seconds, row["rtf"]!!.jsonPrimitive.double, 1e-12)
        }
    }
}
