package audioedge.core

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows

class DetectorTest {
    private fun card(hopS: Double, clip: Int = 16000) =
        ModelCard(listOf("a"), 16000, clip, DetectorConfig(hopS, windowS = maxOf(0.3, hopS)))

    /** Python's round: half to even, of the same products in double precision. */
    @Test
    fun `hops are rounded as Python rounds`() {
        assertEquals(1280, HopScheduler(card(0.1), 640).hopSamples) // 2.5 packets are 2
        assertEquals(2560, HopScheduler(card(0.14), 640).hopSamples) // 3.5 packets are 4
        assertEquals(640, HopScheduler(card(0.001), 640).hopSamples) // never less than one
        assertEquals(1600, HopScheduler(card(0.1), 1).hopSamples)
        assertEquals(0.08, HopScheduler(card(0.1), 640).hopS)
        assertEquals(0.1, HopScheduler(card(0.1), 1).hopS)
    }

    @Test
    fun `lengths of time become hops as in Python`() {
        val schedule = HopScheduler(card(0.1), 1)
        assertEquals(listOf(1, 2, 3, 4), listOf(0.02, 0.25, 0.3, 0.36).map(schedule::nearest)) // 2.5 is 2
        assertEquals(listOf(0, 1, 8, 13), listOf(0.0, 0.01, 0.8, 1.0 + 0.3).map(schedule::covering))
    }

    @Test
    fun `the model is asked after a clip and then every hop, however the samples come`() {
        for (size in listOf(1, 7, 13, 40)) {
            val schedule = HopScheduler(ModelCard(listOf("a"), 1000, 100, DetectorConfig(hopS = 0.04)), 1)
            val asked = mutableListOf<Int>()
            var pushed = 0
            while (pushed < 250) {
                schedule.next(size)?.let { asked += pushed + it }
                pushed += size
            }
            assertEquals(listOf(100, 140, 180, 220), asked.take(4))
        }
    }

    @Test
    fun `a stream is first asked after whole packets`() {
        val schedule = HopScheduler(ModelCard(listOf("a"), 1000, 95, DetectorConfig(hopS = 0.02)), 10)
        assertEquals(List(4) { null } + 20, List(5) { schedule.next(20) })
        schedule.reset()
        assertNull(schedule.next(20))
    }

    @Test
    fun `more than a hop at once is refused`() {
        assertThrows<IllegalArgumentException> { HopScheduler(card(0.1), 1).next(1601) }
    }

    @Test
    fun `a word fires once, with its time in the stream`() {
        val runner = clipRunner()
        openModel(fake()) { runner }.use { model ->
            val detector = Detector(model)
            assertEquals(10, detector.hopSamples)
            // heard from the look at 210 on; the mean of two looks is 1 at 220
            val found = (constant(0, 200) + constant(20000, 40) + constant(0, 100)).hops(10).mapNotNull(detector::push)
            assertEquals(listOf(Detection("high", 1f, (220 - 35.0) / 1000)), found)
            assertEquals(1 + (340 - 100) / 10, runner.heard.size)
        }
    }

    @Test
    fun `a recording is heard with silence around it, times within it`() {
        openModel(fake()) { clipRunner() }.use { model ->
            val detector = Detector(model)
            // fires at 120 samples of the padded recording, 15 before its beginning
            assertEquals(listOf(Detection("high", 1f, 0.0)), detector.detect(constant(20000, 30)))
            assertEquals(emptyList<Detection>(), detector.detect(ShortArray(0)))
        }
    }

    @Test
    fun `percentiles are NumPy's`() {
        val latency = Latency(4)
        assertNull(latency.percentile(50.0))
        for (ms in listOf(99.0, 4.0, 1.0, 3.0, 2.0)) latency.add(ms)
        assertEquals(2.5, latency.percentile(50.0)!!, 1e-12) // of the latest four
        assertEquals(3.7, latency.percentile(90.0)!!, 1e-12)
        assertEquals(4.0, latency.percentile(100.0))
        latency.clear()
        latency.add(5.0)
        assertEquals(5.0, latency.percentile(90.0))
    }
}
