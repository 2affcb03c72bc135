package audioedge.demo

import android.annotation.SuppressLint
import android.media.AudioFormat
import android.media.AudioRecord
import android.media.MediaRecorder
import audioedge.core.AudioProblem
import audioedge.core.AudioSource

/** The phone's microphone, mono PCM16, 20 ms at a time. */
class Microphone(override val sampleRate: Int) : AudioSource {
    private val record = open(sampleRate)

    override fun read(): ShortArray? {
        val packet = ShortArray(sampleRate / 50)
        val count = record.read(packet, 0, packet.size)
        if (count <= 0) throw AudioProblem("the microphone was lost (code $count); close other apps that use it, then listen again")
        return if (count == packet.size) packet else packet.copyOf(count)
    }

    override fun close() = record.release() // which stops it too
}

/** A recorder that runs, with room for a second of sound. */
@SuppressLint("MissingPermission") // the presenter opens none before the permission is there
private fun open(sampleRate: Int): AudioRecord {
    val least = AudioRecord.getMinBufferSize(sampleRate, AudioFormat.CHANNEL_IN_MONO, AudioFormat.ENCODING_PCM_16BIT)
    if (least <= 0) throw AudioProblem("this phone gives no sound at $sampleRate Hz; choose a model of another rate")
    val record = AudioRecord(
        MediaRecorder.AudioSource.VOICE_RECOGNITION, // the one that is least worked on
        sampleRate,
        AudioFormat.CHANNEL_IN_MONO,
        AudioFormat.ENCODING_PCM_16BIT,
        maxOf(least, Short.SIZE_BYTES * sampleRate),
    )
    try {
        if (record.state == AudioRecord.STATE_INITIALIZED) record.startRecording()
        if (record.recordingState == AudioRecord.RECORDSTATE_RECORDING) return record
    } catch (error: Throwable) {
        record.release()
        throw error
    }
    record.release()
    throw AudioProblem("the microphone cannot be opened; close other apps that use it, then listen again")
}
