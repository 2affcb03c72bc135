package audioedge.core

import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.util.concurrent.Executors
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.runBlocking
import kotlinx.coroutines.withTimeout
import org.junit.jupiter.api.AfterEach
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertNull
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.io.TempDir

/** On a real thread, as in the app; tests wait for states and never for time. */
class KeeperTest {
    @TempDir
    lateinit var place: File
    private val disk = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
    private val said = mutableListOf<Boolean>()
    private val keeper by lazy { keeper(agreed = false) }

    private fun keeper(agreed: Boolean) = Keeper(HitFolder(place), agreed, said::add, disk) { "20240601T120000" }

    private fun Keeper.shows(wanted: (KeptState) -> Boolean) =
        runBlocking { withTimeout(20_000) { state.first(wanted) } }

    private fun keep(label: String = "high") = keeper.keep(hit(label), hitCard) { "f00" }

    @AfterEach
    fun `the disk is let go`() {
        keeper.close()
        disk.close()
    }

    @Test
    fun `nothing is kept until the user agrees and nothing new once that is taken back`() {
        assertNull(keep())
        keeper.agree(true)
        val name = keep()
        assertEquals(listOf(name), keeper.shows { it.names.isNotEmpty() }.names)
        keeper.agree(false)
        assertNull(keep())
        assertEquals(listOf(true, false), said)
        assertEquals(setOf("$name.wav", "$name.json"), place.list()!!.toSet())
    }

    @Test
    fun `names are told apart and fit any disk`() {
        keeper.agree(true)
        val names = listOf(keep(), keep(), keep("a/b c"))
        assertEquals(listOf("20240601T120000_high", "20240601T120000_high_2", "20240601T120000_a-b-c"), names)
        keeper.shows { it.names.size == 3 }
        val again = keeper(agreed = true) // the app was begun anew
        again.shows { it.on && it.names.size == 3 }
        assertEquals("20240601T120000_high_3", again.keep(hit(), hitCard) { "f00" })
        again.shows { it.names.size == 4 }
        again.close()
    }

    @Test
    fun `what was wrong is marked and all of it exported and deleted`() {
        keeper.agree(true)
        val names = listOf(keep()!!, keep()!!)
        keeper.report(names[1])
        assertEquals(setOf(names[1]), keeper.shows { it.reported.isNotEmpty() }.reported)
        val zip = ByteArrayOutputStream()
        keeper.export { zip }
        assertEquals("exported: 2", keeper.shows { it.message != null }.message)
        assertEquals(names.flatMap { listOf("$it.wav", "$it.json") }.toSet(), unzipped(zip.toByteArray()).keys)
        keeper.clear()
        keeper.shows { it.names.isEmpty() && it.reported.isEmpty() }
    }

    @Test
    fun `what fails is one sentence until something works`() {
        keeper.agree(true)
        keep()
        keeper.shows { it.names.isNotEmpty() }
        keeper.export { throw IOException("no space") }
        val message = keeper.shows { it.message != null }.message
        assertEquals("what was heard cannot be exported (no space); free space or try again", message)
        keeper.report("nobody")
        assertTrue("marked" in keeper.shows { it.message != message }.message!!)
        keeper.clear()
        assertNull(keeper.shows { it.names.isEmpty() }.message)
        keeper.tell("install an app that saves files")
        assertEquals("install an app that saves files", keeper.state.value.message)
    }

    @Test
    fun `listening hands over two seconds of sound and the scores`() {
        val hits = mutableListOf<Hit>()
        val microphone = FakeMicrophone()
        val inference = Executors.newSingleThreadExecutor().asCoroutineDispatcher()
        val device = Device("Phone", "arm64-v8a", 8, "Android 16", "6.1", "tensorflow_lite", "2.16.1")
        val word = constant(0, 200) + constant(20000, 40)
        ListenPresenter(
            listOf(fake()), microphone::open, { clipRunner() }, device, disk, inference,
            keep = { hit, card, sha256 ->
                assertEquals(64 to 1000, sha256().length to card.sampleRate)
                hits += hit
                "name"
            },
        ).use { presenter ->
            presenter.permission(true)
            presenter.start()
            microphone.hears(word)
            val state = runBlocking { withTimeout(20_000) { presenter.state.first { it.log.isNotEmpty() } } }
            assertEquals("name", state.log.single().kept)
        }
        inference.close()
        val hit = hits.single()
        assertArrayEquals(floatArrayOf(0f, 1f), hit.scores)
        val heard = hit.sound.toList().dropLastWhile { it.toInt() == 20000 }
        assertEquals(HIT_S * 1000, hit.sound.size)
        assertTrue(heard.all { it.toInt() == 0 } && hit.sound.size - heard.size in 11..40) // it fires within the word
    }
}
