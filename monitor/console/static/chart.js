// The readings around an alarm: values, limits, the span of the alarm; late and bad readings are marked.
"use strict";
(() => {
  const place = document.getElementById("chart");
  if (!place || typeof uPlot === "undefined") return;
  const words = JSON.parse(place.dataset.words);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SIGNS = { Cel: "°C", "%RH": "% RH", "/m3": "/m³", "uS/cm": "µS/cm", "ug/L": "µg/L" };
  const sign = (unit) => SIGNS[unit] || unit;

  // The span of the alarm behind the line, the limits above it.
  const marks = (chart, series) => ({
    hooks: {
      drawClear: [(u) => {
        const { ctx, bbox } = u;
        const from = u.valToPos(chart.start_ms / 1000, "x", true);
        const to = u.valToPos((chart.end_ms === null ? chart.to_ms : chart.end_ms) / 1000, "x", true);
        const left = Math.max(bbox.left, from);
        const right = Math.min(bbox.left + bbox.width, Math.max(to, from + 2));
        ctx.save();
        ctx.fillStyle = css("--span");
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
        ctx.restore();
      }],
      draw: [(u) => {
        const { ctx, bbox } = u;
        ctx.save();
        ctx.strokeStyle = css("--limit");
        ctx.fillStyle = css("--limit");
        ctx.font = `${12 * devicePixelRatio}px sans-serif`;
        ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        for (const line of series.lines) {
          const y = u.valToPos(line.value, "y", true);
          ctx.beginPath();
          ctx.moveTo(bbox.left, y);
          ctx.lineTo(bbox.left + bbox.width, y);
          ctx.stroke();
          ctx.fillText(`${words[line.name]} ${line.value} ${sign(series.unit)}`, bbox.left + 6, y - 5);
        }
        ctx.setLineDash([]);
        series.time.forEach((time, i) => {
          const bad = series.quality[i] !== "good";
          if (!bad && !series.late[i]) return;
          const value = series.value[i];
          const x = u.valToPos(time / 1000, "x", true);
          const y = value === null ? bbox.top + bbox.height - 4 : u.valToPos(value, "y", true);
          const r = 3.5 * devicePixelRatio;
          ctx.strokeStyle = bad ? css("--bad") : css("--late");
          ctx.lineWidth = 1.5 * devicePixelRatio;
          ctx.beginPath();
          if (bad) { ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r); }
          else ctx.arc(x, y, r, 0, 2 * Math.PI);
          ctx.stroke();
        });
        ctx.restore();
      }],
    },
  });

  const draw = (chart) => {
    place.replaceChildren();
    for (const series of chart.series) {
      const limits = series.lines.map((line) => line.value);
      const good = series.value.map((value, i) => (series.quality[i] === "good" ? value : null));
      const zone = (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai");
      new uPlot({
        title: `${series.tag} · ${series.quantity}`,
        width: Math.max(320, place.clientWidth),
        height: chart.series.length > 2 ? 170 : 280,
        tzDate: zone,
        fmtDate: (names) => uPlot.fmtDate(names),
        cursor: { drag: { x: true, y: false } },
        scales: {
          x: { range: [chart.from_ms / 1000, chart.to_ms / 1000] },
          y: { range: (u, low, high) => {
            const all = [low, high, ...limits].filter((value) => value !== null && Number.isFinite(value));
            if (!all.length) return [0, 1];
            const least = Math.min(...all), most = Math.max(...all), room = (most - least || 1) * 0.12;
            return [least - room, most + room];
          } },
        },
        axes: [
          { stroke: css("--ink-2"), grid: { stroke: css("--grid") }, values: [
            [3600 * 24, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
            [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
            [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
            [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
          ] },
          { stroke: css("--ink-2"), grid: { stroke: css("--grid") }, size: 60, label: sign(series.unit) },
        ],
        series: [
          { label: words.time, value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" },
          { label: words.value, stroke: css("--ink"), width: 1.5, spanGaps: false, points: { show: series.time.length < 120, size: 4 } },
        ],
        plugins: [marks(chart, series)],
      }, [series.time.map((ms) => ms / 1000), good], place);
    }
  };

  const load = async () => {
    const answer = await fetch(place.dataset.url, { headers: { Accept: "application/json" } });
    if (answer.ok) draw(await answer.json());
  };
  load();
  let due = null;
  document.body.addEventListener("alarm", (event) => {
    const page = document.getElementById("alarm");
    if (JSON.parse(event.detail.data).alarm !== page.dataset.alarm) return;
    clearTimeout(due);
    due = setTimeout(load, 2000); // the archive follows the log by a few seconds
  });
  setInterval(() => { if (!document.hidden) load(); }, 15000);
})();
