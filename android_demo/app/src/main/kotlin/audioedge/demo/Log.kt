package audioedge.demo

import android.app.Activity
import android.view.View
import android.view.ViewGroup
import android.widget.BaseAdapter
import android.widget.TextView
import audioedge.core.Heard

/** The list of what was heard, the newest first. */
class Log(private val activity: Activity) : BaseAdapter() {
    private var lines: List<Heard> = emptyList()

    fun show(heard: List<Heard>) {
        if (heard == lines) return
        lines = heard
        notifyDataSetChanged()
    }

    override fun getCount() = lines.size

    override fun getItem(position: Int) = lines[position]

    override fun getItemId(position: Int) = position.toLong()

    override fun getView(position: Int, old: View?, parent: ViewGroup): View {
        val view = old ?: activity.layoutInflater.inflate(R.layout.line, parent, false)
        val heard = lines[position]
        view.findViewById<TextView>(R.id.time).text = activity.getString(R.string.seconds, heard.timeS)
        view.findViewById<TextView>(R.id.label).text = heard.label
        view.findViewById<TextView>(R.id.score).text = activity.getString(R.string.score, heard.score)
        return view
    }
}
