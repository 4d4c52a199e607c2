// The readings around an alarm: values, limits, the span of the alarm; late and bad readings are marked.
"use strict";
(() => {
  const place = document.getElementById("chart");
  if (!place || typeof uPlot === "undefined") return;
  const words = JSON.parse(place.dataset.words);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const SIGNS = { Cel: "°C", "%RH": "% RH", "/m3": "/m³", "uS/cm": "µS/cm", "ug/L": "µg/L" };
  const sign = (unit) => SIGNS[unit] || unit;
  const dots = () => window.devicePixelRatio || 1;

  const across = (u, y, dotsHigh) => { // on whole dots: a line between two of them is a pale one
    const at = Math.round(y) + (dotsHigh % 2 ? 0.5 : 0);
    u.ctx.lineWidth = dotsHigh;
    u.ctx.beginPath();
    u.ctx.moveTo(u.bbox.left, at);
    u.ctx.lineTo(u.bbox.left + u.bbox.width, at);
    u.ctx.stroke();
  };
  const drawSpan = (chart) => (u) => {
    const { ctx, bbox } = u;
    const from = u.valToPos(chart.start_ms / 1000, "x", true);
    const to = u.valToPos((chart.end_ms === null ? chart.to_ms : chart.end_ms) / 1000, "x", true);
    const left = Math.max(bbox.left, from);
    const right = Math.min(bbox.left + bbox.width, Math.max(to, from + 2));
    if (right <= left) return;
    ctx.save();
    ctx.fillStyle = css("--span");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
    ctx.restore();
  };
  const drawLimits = (series) => (u) => {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${12 * dots()}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "alphabetic";
    for (const line of series.lines) {
      const y = u.valToPos(line.value, "y", true);
      ctx.strokeStyle = ctx.fillStyle = css("--limit");
      ctx.setLineDash([7 * dots(), 4 * dots()]);
      across(u, y, Math.round(2 * dots()));
      const below = line.name === "low" ? 14 * dots() : -5 * dots();
      ctx.fillText(`${words[line.name]} ${line.value} ${sign(series.unit)}`, bbox.left + 6 * dots(), y + below);
      if (line.clears_at === null) continue;
      ctx.strokeStyle = css("--ink-2");
      ctx.setLineDash([2 * dots(), 4 * dots()]);
      across(u, u.valToPos(line.clears_at, "y", true), Math.max(1, Math.round(dots())));
    }
    ctx.restore();
  };
  const drawMarks = (series) => (u) => {
    const { ctx, bbox } = u;
    const r = 3.5 * dots();
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.lineWidth = 1.5 * dots();
    series.time.forEach((time, i) => {
      const bad = series.quality[i] !== "good";
      if (!bad && !series.late[i]) return;
      const value = series.value[i];
      const x = u.valToPos(time / 1000, "x", true);
      const y = value === null ? bbox.top + bbox.height - 2 * r : u.valToPos(value, "y", true);
      ctx.strokeStyle = css(bad ? "--bad" : "--late");
      ctx.beginPath();
      if (bad) { ctx.moveTo(x - r, y - r); ctx.lineTo(x + r, y + r); ctx.moveTo(x + r, y - r); ctx.lineTo(x - r, y + r); }
      else ctx.arc(x, y, r, 0, 2 * Math.PI);
      ctx.stroke();
    });
    ctx.restore();
  };

  const DATE = "\n{YYYY}-{MM}-{DD}";
  const TICKS = [
    [3600 * 24, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
    [3600, "{HH}:{mm}", DATE, null, DATE, null, null, null, 1],
    [60, "{HH}:{mm}", DATE, null, DATE, null, null, null, 1],
    [1, "{HH}:{mm}:{ss}", DATE, null, DATE, null, null, null, 1],
  ];
  const width = () => Math.max(240, place.clientWidth);
  const options = (chart, series) => {
    const limits = series.lines.map((line) => line.value);
    const room = (u, low, high) => {
      const all = [low, high, ...limits].filter((value) => value !== null && Number.isFinite(value));
      if (!all.length) return [0, 1];
      const least = Math.min(...all), most = Math.max(...all), free = (most - least || 1) * 0.14;
      return [least - free, most + free];
    };
    return {
      title: `${series.tag} · ${sign(series.unit)}`,
      width: width(),
      height: chart.series.length > 2 ? 180 : 300,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Asia/Shanghai"),
      fmtDate: (names) => uPlot.fmtDate(names),
      cursor: { drag: { x: true, y: false } },
      scales: { x: { range: (u, low, high) => [low, high] }, y: { range: room } },
      axes: [
        { stroke: css("--ink-2"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, values: TICKS },
        { stroke: css("--ink-2"), grid: { stroke: css("--grid"), width: 1 }, ticks: { stroke: css("--grid"), width: 1 }, size: 56 },
      ],
      series: [
        { label: words.time, value: "{YYYY}-{MM}-{DD} {HH}:{mm}:{ss}" },
        { label: `${words.value} (${sign(series.unit)})`, stroke: css("--ink"), width: 1.5, spanGaps: false, points: { show: series.time.length < 120, size: 4 } },
      ],
      hooks: { drawClear: [drawSpan(chart)], draw: [drawLimits(series), drawMarks(series)] },
    };
  };

  let plots = [];
  const draw = (chart) => {
    for (const plot of plots) plot.destroy();
    plots = chart.series.map((series) => {
      const good = series.value.map((value, i) => (series.quality[i] === "good" ? value : null));
      const plot = new uPlot(options(chart, series), [series.time.map((ms) => ms / 1000), good], place);
      plot.setScale("x", { min: chart.from_ms / 1000, max: chart.to_ms / 1000 });
      return plot;
    });
  };

  let shown = "";
  const load = async () => {
    try {
      const answer = await fetch(place.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) return; // the page says elsewhere that the line is down; what is drawn stays
      const text = await answer.text();
      if (text !== shown) draw(JSON.parse(text));
      shown = text;
    } catch { /* as above */ }
  };
  load();
  new ResizeObserver(() => { for (const plot of plots) if (plot.width !== width()) plot.setSize({ width: width(), height: plot.height }); }).observe(place);
  let due = null;
  document.body.addEventListener("alarm", (event) => {
    if (JSON.parse(event.detail.data).alarm !== document.getElementById("alarm").dataset.alarm) return;
    clearTimeout(due);
    due = setTimeout(load, 2000); // the archive follows the log by a few seconds
  });
  setInterval(() => { if (!document.hidden) load(); }, 15000);
})();
