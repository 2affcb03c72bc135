package audioedge.core

import java.io.File
import java.nio.ByteBuffer
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.JsonElement

/** The folder that the tests of Python and Kotlin share. */
val shared: File = generateSequence(File("").absoluteFile) { it.parentFile }.map { it.resolve("tests") }
    .first { it.resolve("golden/smoothing.json").isFile }

fun golden(name: String): JsonElement = Json.parseToJsonElement(shared.resolve("golden/$name").readText())

fun recording(name: String) = WavSource(name, shared.resolve("android/$name").readBytes())

fun model(name: String) = ModelFile(name) { direct(shared.resolve("android/$name").readBytes()) }

fun direct(bytes: ByteArray): ByteBuffer = tensorOf(bytes.size).put(bytes).between(0, bytes.size)

/** All samples of a source. */
fun AudioSource.samples(): ShortArray = generateSequence(::read).fold(ShortArray(0)) { all, packet -> all + packet }
