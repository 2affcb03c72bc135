package audioedge.core

import kotlinx.serialization.json.JsonNull
import kotlinx.serialization.json.JsonObject
import kotlinx.serialization.json.JsonPrimitive
import kotlinx.serialization.json.addJsonObject
import kotlinx.serialization.json.buildJsonObject
import kotlinx.serialization.json.put
import kotlinx.serialization.json.putJsonArray
import kotlinx.serialization.json.putJsonObject

/**
 * What `benchmarks.run --json` writes, for a phone; `benchmarks.table` puts both into one table.
 *
 * What was not measured is null. A file is known by its SHA-256, so that it is one row on every device.
 */
internal fun benchmarkJson(device: Device, runs: Int, measured: List<Measured>): String = buildJsonObject {
    putJsonObject("device") {
        put("machine", device.machine)
        put("cpu", device.cpu)
        put("cores", device.cores)
        put("os", device.os)
        put("system", device.os)
        put("kernel", device.kernel)
    }
    put("before", JsonNull)
    put("after", JsonNull)
    putJsonObject("runtimes") { put(device.runtime, device.runtimeVersion) }
    put("threads", device.threads)
    putJsonArray("more_threads") {}
    put("runs", runs)
    put("waveform", "noise")
    put("data", JsonNull)
    put("unreadable", 0)
    putJsonArray("rows") { for (file in measured) add(row(device, runs, file)) }
}.toString()

private fun row(device: Device, runs: Int, file: Measured): JsonObject = buildJsonObject {
    val rtf = file.p50Ms / 1000 / (file.card.stepSamples.toDouble() / file.card.sampleRate)
    put("model", file.card.name)
    put("file", file.name)
    put("sha256", file.sha256)
    put("stage", file.card.stage)
    put("params", file.card.params)
    put("size_bytes", file.sizeBytes)
    putJsonObject("latency") {
        putJsonObject(device.runtime) {
            put("p50_ms", file.p50Ms)
            put("p90_ms", file.p90Ms)
            put("rtf", rtf)
            put("runs", runs)
        }
    }
    putJsonObject("coverage") {}
    for (key in listOf("zip_bytes", "accuracy", "peak_mib", "baseline_mib")) put(key, JsonNull)
    put("rtf", JsonPrimitive(rtf))
}
