package audioedge.core

import java.io.ByteArrayInputStream
import java.io.ByteArrayOutputStream
import java.io.File
import java.io.IOException
import java.util.zip.ZipInputStream
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive
import org.junit.jupiter.api.Assertions.assertArrayEquals
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import org.junit.jupiter.api.assertThrows
import org.junit.jupiter.api.io.TempDir

fun hit(label: String = "high", sound: ShortArray = constant(20000, 2000)) =
    Hit(Detection(label, 0.75f, 1.5), floatArrayOf(0f, 1f), sound)

val hitCard = ModelCard(listOf("silence", "high"), 1000, 100)

/** Name -> content of a zip. */
fun unzipped(zip: ByteArray): Map<String, ByteArray> = ZipInputStream(ByteArrayInputStream(zip)).use { stream ->
    generateSequence { stream.nextEntry }.associate { it.name to stream.readBytes() }
}

class HitFolderTest {
    @TempDir
    lateinit var place: File
    private val folder by lazy { HitFolder(place.resolve("hits"), most = 3) }

    private fun save(vararg names: String) = names.forEach { folder.save(it, hit(), hitCard, "f00") }

    private fun exported() = unzipped(ByteArrayOutputStream().also(folder::export).toByteArray())

    @Test
    fun `an export is the golden one that Python takes in`() {
        val sounds = listOf(constant(20000, 2000), ShortArray(2000) { (10 * it).toShort() })
        val sha256 = "0123456789abcdef".repeat(4)
        sounds.forEachIndexed { at, sound -> folder.save("20240601T12000${at}_high", hit(sound = sound), hitCard, sha256) }
        folder.report("20240601T120000_high")
        val file = File("target/hits.zip")
        folder.export(file.outputStream())
        val golden = unzipped(shared.resolve("golden/hits.zip").readBytes())
        val found = unzipped(file.readBytes())
        assertEquals(golden.keys, found.keys)
        for ((name, content) in golden) assertArrayEquals(content, found[name], name)
    }

    @Test
    fun `a sound is read as it was heard`() {
        val sound = ShortArray(300) { (it * 100 - 15000).toShort() }
        val source = WavSource("a.wav", wav(sound, 16000))
        assertArrayEquals(sound, source.samples())
        assertEquals(16000, source.sampleRate)
    }

    @Test
    fun `the newest are kept`() {
        save("1", "2", "3", "4", "5")
        assertEquals(listOf("3", "4", "5"), folder.names())
        assertEquals(setOf("3.json", "3.wav", "4.json", "4.wav", "5.json", "5.wav"), exported().keys)
    }

    @Test
    fun `one that was wrong says so and keeps its facts`() {
        save("1", "2")
        folder.report("2")
        folder.report("2")
        assertEquals(setOf("2"), folder.reported())
        val facts = Json.parseToJsonElement(exported()["2.json"]!!.decodeToString()).jsonObject
        assertEquals("high" to "true", facts["label"]!!.jsonPrimitive.content to facts["reported"]!!.jsonPrimitive.content)
    }

    @Test
    fun `a sound without facts does not count and goes with the rest`() {
        save("1")
        place.resolve("hits/2.wav").writeText("killed here")
        assertEquals(listOf("1"), folder.names())
        assertEquals(setOf("1.json", "1.wav"), exported().keys)
        folder.clear()
        assertEquals(emptyList<File>(), place.resolve("hits").listFiles().orEmpty().toList())
    }

    @Test
    fun `a disk that refuses leaves nothing half written`() {
        place.resolve("hits").writeText("a file in its place")
        assertThrows<IOException> { save("1") }
        assertTrue(folder.names().isEmpty())
        place.resolve("hits").delete()
        place.resolve("hits/1.json/full").mkdirs() // a folder where the facts would go
        assertThrows<IOException> { save("1") }
        assertEquals(setOf("1.wav", "1.json"), place.resolve("hits").list()!!.toSet())
        assertTrue(folder.names().isEmpty() || !place.resolve("hits/1.json").isFile)
    }
}
