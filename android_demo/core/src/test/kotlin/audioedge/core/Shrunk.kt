package audioedge.core

import java.util.concurrent.Executors
import kotlin.system.exitProcess
import kotlinx.coroutines.asCoroutineDispatcher
import kotlinx.serialization.json.Json
import kotlinx.serialization.json.jsonArray
import kotlinx.serialization.json.jsonObject
import kotlinx.serialization.json.jsonPrimitive

/**
 * The presenter hears a recording and measures the models, as in the app.
 *
 * No test by itself: apk.sh runs it on what R8 leaves of all this, where a test runner would be lost.
 */
fun main() {
    val case = golden("listening.json").jsonObject["cases"]!!.jsonArray.first().jsonObject
    val words = case["heard"]!!.jsonArray.map { it.jsonObject["label"]!!.jsonPrimitive.content }
    val models = listOf("model_float.tflite", "model_int8.tflite", "model_int8_streaming.tflite").map(::model)
    lateinit var presenter: ListenPresenter
    presenter = ListenPresenter(
        models, { Paced(recording(case["recording"]!!.jsonPrimitive.content)) { presenter.state.value.heardS } }, ::TfLite,
        Device("cpu", "machine", 1, "os", "kernel", "tensorflow_lite", "0"), thread(), thread(),
    )
    presenter.permission(true)
    for (index in models.indices) {
        val before = presenter.state.value.log.size
        presenter.choose(index)
        presenter.start()
        until(presenter) { it.mode == Mode.IDLE }
        val heard = presenter.state.value.log.dropLast(before).reversed().map { it.label }
        if (heard != words) fail("${models[index].name} heard $heard instead of $words", presenter)
    }
    presenter.benchmark()
    until(presenter) { it.benchmark?.json != null }
    val rows = Json.parseToJsonElement(presenter.state.value.benchmark!!.json!!).jsonObject["rows"]!!.jsonArray
    if (rows.size != models.size) fail("${rows.size} models were measured", presenter)
    println("what R8 leaves hears ${words.size} words of ${words.size} with each of ${models.size} models, and measures them")
    exitProcess(0)
}

/** A recording as fast as it is heard, with the silence behind it in which its last word is decided. */
private class Paced(private val wav: AudioSource, private val heardS: () -> Double) : AudioSource by wav {
    private val before = heardS()
    private var given = 0 // samples
    private var silence = 100 // packets

    override fun read(): ShortArray? {
        while (given > (heardS() - before + AHEAD_S) * sampleRate) Thread.sleep(1)
        return (wav.read() ?: ShortArray(PACKET).takeIf { silence-- > 0 })?.also { given += it.size }
    }

    private companion object {
        const val PACKET = 320
        const val AHEAD_S = 0.5 // less than makes sound be dropped
    }
}

private fun thread() = Executors.newSingleThreadExecutor().asCoroutineDispatcher()

private fun until(presenter: ListenPresenter, fits: (UiState) -> Boolean) {
    repeat(1200) {
        if (fits(presenter.state.value)) return
        Thread.sleep(50)
    }
    fail("nothing came of it within a minute", presenter)
}

private fun fail(what: String, presenter: ListenPresenter): Nothing {
    System.err.println("error: $what (${presenter.state.value}); see android_demo/app/rules.pro")
    exitProcess(1)
}
