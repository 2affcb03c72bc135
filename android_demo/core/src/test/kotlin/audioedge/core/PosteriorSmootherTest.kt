package audioedge.core

import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.double
import kotlinx.serialization.json.float
import kotlinx.serialization.json.int
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.DynamicTest.dynamicTest
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.TestFactory
import org.junit.jupiter.api.assertThrows

class PosteriorSmootherTest {
    private val cases = golden("smoothing.json").jsonObject["cases"]!!.jsonArray.map { it.jsonObject }

    /** Python wrote the cases; scores and decisions are compared for equality. */
    @TestFactory
    fun `replays the golden cases to the bit`(): List<DynamicTest> = cases.map { case ->
        dynamicTest(case["name"]!!.jsonPrimitive.content) { replay(case, smoother(case)) }
    }

    @Test
    fun `after reset nothing is left of the stream before`() {
        for (case in cases) {
            val smoother = smoother(case)
            replay(case, smoother)
            smoother.reset()
            assertNull(smoother.scores)
            replay(case, smoother)
        }
    }

    @Test
    fun `scores and probabilities are not shared with the caller`() {
        val smoother = PosteriorSmoother(listOf("a", "b"), List(2) { Smoothing(2, 0.9, 0, 1) })
        val probs = floatArrayOf(0.5f, 0.25f)
        smoother.step(probs)
        smoother.scores!!.fill(7f)
        probs.fill(7f)
        smoother.step(floatArrayOf(0.5f, 0.25f))
        assertArrayEquals(floatArrayOf(0.5f, 0.25f), smoother.scores)
    }

    @Test
    fun `settings that make no sense are refused`() {
        val labels = listOf("a")
        for (bad in listOf(Smoothing(0, 0.5, 0, 1), Smoothing(1, 0.5, -1, 1), Smoothing(1, 0.5, 0, 0))) {
            assertThrows<IllegalArgumentException> { PosteriorSmoother(labels, listOf(bad)) }
        }
        assertThrows<IllegalArgumentException> { PosteriorSmoother(labels, List(2) { Smoothing(1, 0.5, 0, 1) }) }
        val smoother = PosteriorSmoother(labels, listOf(Smoothing(1, 0.5, 0, 1)))
        assertThrows<IllegalArgumentException> { smoother.step(floatArrayOf(1f, 0f)) }
    }

    private fun smoother(case: JsonObject): PosteriorSmoother {
        fun ints(key: String) = case[key]!!.jsonArray.map { it.jsonPrimitive.int }
        val labels = case["labels"]!!.jsonArray.map { it.jsonPrimitive.content }
        val thresholds = case["threshold"]!!.jsonArray.map { it.jsonPrimitive.double }
        return PosteriorSmoother(
            labels,
            labels.indices.map { Smoothing(ints("window")[it], thresholds[it], ints("refractory")[it], ints("hold")[it]) },
        )
    }

    private fun replay(case: JsonObject, smoother: PosteriorSmoother) {
        val fired = case["probs"]!!.jsonArray.mapIndexedNotNull { hop, row ->
            val probs = row.jsonArray.map { it.jsonPrimitive.double.toFloat() }.toFloatArray()
            smoother.step(probs)?.let { Triple(hop, it.label, it.score) }
        }
        val wanted = case["fired"]!!.jsonArray.map { it.jsonObject }.map {
            Triple(it["hop"]!!.jsonPrimitive.int, it["label"]!!.jsonPrimitive.int, it["score"]!!.jsonPrimitive.float)
        }
        assertEquals(wanted, fired)
        val end = case["scores_at_end"]!!.jsonArray.map { it.jsonPrimitive.float }
        assertTrue(end.isNotEmpty())
        assertEquals(end, smoother.scores!!.toList())
    }
}
