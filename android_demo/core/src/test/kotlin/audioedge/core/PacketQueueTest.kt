package audioedge.core

import kotlinx.coroutines.ExperimentalCoroutinesApi
import kotlinx.coroutines.async
import kotlinx.coroutines.test.runCurrent
import kotlinx.coroutines.test.runTest
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Test

@OptIn(ExperimentalCoroutinesApi::class)
class PacketQueueTest {
    @Test
    fun `packets come in order, each with its place in the stream`() = runTest {
        val queue = PacketQueue(100L)
        queue.offer(shortArrayOf(1, 2, 3))
        queue.offer(shortArrayOf(4))
        queue.end()
        assertArrayEquals(shortArrayOf(1, 2, 3), queue.take()!!.samples)
        assertEquals(3L, queue.take()!!.start)
        assertNull(queue.take())
        assertEquals(0L, queue.dropped)
    }

    @Test
    fun `slower than audio, the oldest are dropped and counted`() = runTest {
        val queue = PacketQueue(100L)
        repeat(25) { queue.offer(constant(it, 10)) }
        assertEquals(150L, queue.dropped)
        queue.end()
        val starts = generateSequence(0L) { it + 10 }.drop(15).take(10).toList()
        assertEquals(starts, List(10) { queue.take()!!.start })
        assertNull(queue.take())
    }

    @Test
    fun `room that was taken is there again`() = runTest {
        val queue = PacketQueue(20L)
        repeat(50) {
            queue.offer(constant(it, 20))
            assertEquals(20L * it, queue.take()!!.start)
        }
        assertEquals(0L, queue.dropped)
    }

    @Test
    fun `a packet longer than the queue is kept until the next one comes`() = runTest {
        val queue = PacketQueue(5L)
        queue.offer(constant(1, 8))
        assertEquals(0L, queue.dropped)
        queue.offer(constant(2, 1))
        assertEquals(8L, queue.dropped)
        assertEquals(8L, queue.take()!!.start)
    }

    @Test
    fun `who takes waits for a packet or for the end`() = runTest {
        val queue = PacketQueue(5L)
        val first = async { queue.take() }
        runCurrent()
        assertFalse(first.isCompleted)
        queue.offer(shortArrayOf(1))
        assertEquals(0L, first.await()!!.start)
        val second = async { queue.take() }
        runCurrent()
        assertFalse(second.isCompleted)
        queue.end()
        assertNull(second.await())
    }
}
