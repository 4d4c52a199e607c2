// Live updates and the keyboard. Everything here enhances: the pages read and act without it.
"use strict";
(() => {
  document.documentElement.classList.add("js");
  const body = document.body;
  const status = document.getElementById("live");
  const SILENT_MS = 50000; // the stream says something every 15 s
  const POLL_MS = 30000; // times left shrink without any step
  const AGAIN_MS = 3000;

  // ---- what the page shows is as new as the line says
  let connection = null, heard = 0, pollFailed = false;
  const show = () => {
    if (!status) return;
    const line = connection !== null && !pollFailed;
    const on = line && document.querySelector("#untold .old") === null; // the desk itself may wait for the broker
    const text = on ? body.dataset.liveOn : line ? body.dataset.liveOld : body.dataset.liveOff;
    if (status.textContent !== text) status.textContent = text;
    status.classList.toggle("on", on);
    status.classList.toggle("off", !on);
  };
  const lost = () => { connection = null; show(); };

  let due = null;
  const refresh = () => {
    if (due !== null || document.hidden) return;
    due = setTimeout(() => { // many steps in a moment refresh the page once
      due = null;
      for (const part of document.querySelectorAll("[data-part]")) htmx.trigger(part, "refresh");
    }, 300);
  };

  body.addEventListener("htmx:sse:after:connection", (event) => {
    const again = heard > 0;
    connection = event.detail.connection;
    heard = Date.now();
    show();
    if (again) refresh();
  });
  body.addEventListener("htmx:sse:before:message", () => { heard = Date.now(); });
  body.addEventListener("htmx:sse:before:connection", (event) => { if (event.detail.connection.attempt > 0) lost(); });
  body.addEventListener("htmx:sse:error", (event) => {
    lost();
    if (event.detail.status === 401 || event.detail.status === 403) location.reload(); // signed out: the server leads on
  });
  body.addEventListener("htmx:sse:close", lost);
  // The extension repeats a line that broke, not one that never stood.
  body.addEventListener("htmx:finally:request", (event) => {
    if (event.target !== body || connection !== null || body._htmx?.sse) return;
    show();
    setTimeout(() => htmx.trigger(body, "connect"), AGAIN_MS);
  });
  const part = (event) => event.target instanceof Element && event.target.matches("[data-part]");
  body.addEventListener("htmx:error", (event) => { if (part(event)) { pollFailed = true; show(); } });
  body.addEventListener("htmx:response:error", (event) => { if (part(event)) { pollFailed = true; show(); } });
  body.addEventListener("htmx:after:swap", (event) => { if (part(event)) { pollFailed = false; show(); mark(); } });

  body.addEventListener("alarm", (event) => {
    const page = document.getElementById("alarm");
    if (!page || JSON.parse(event.detail.data).alarm === page.dataset.alarm) { refresh(); return; }
    htmx.trigger(document.getElementById("untold"), "refresh");
  });
  body.addEventListener("standing", (event) => { // what the strips show besides alarms; a hidden page asks when it is seen
    const shown = document.querySelector("#untold [data-standing]");
    if (document.hidden || !shown || JSON.parse(event.detail.data).mark === shown.dataset.standing) return;
    for (const id of ["untold", "operators"]) {
      const strip = document.getElementById(id);
      if (strip) htmx.trigger(strip, "refresh");
    }
  });
  body.addEventListener("reset", () => {
    const last = Number(sessionStorage.getItem("desk.reset") || 0);
    if (Date.now() - last < 10000) { refresh(); return; }
    sessionStorage.setItem("desk.reset", String(Date.now()));
    location.reload();
  });
  document.addEventListener("visibilitychange", refresh);
  if (status) {
    setInterval(() => {
      if (document.hidden) return;
      if (connection !== null && Date.now() - heard > SILENT_MS) { // the line is dead and nobody said so
        const dead = connection;
        lost();
        dead.reader?.cancel();
      }
      refresh();
    }, POLL_MS);
  }

  // ---- the keyboard
  const KEPT = "desk.chosen";
  const rows = () => [...document.querySelectorAll("tr[data-alarm]")];
  let chosen = null;
  const mark = () => { for (const row of rows()) row.classList.toggle("chosen", row.dataset.alarm === chosen); };
  const choose = (row) => {
    if (!row) return;
    chosen = row.dataset.alarm;
    mark();
    row.querySelector("a.open").focus();
    sessionStorage.setItem(KEPT, JSON.stringify({ alarm: chosen }));
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const list = rows();
    const at = list.findIndex((row) => row.dataset.alarm === chosen);
    if (event.key === "j") choose(list[Math.min(at + 1, list.length - 1)]);
    else if (event.key === "k") choose(list[Math.max(at - 1, 0)]);
    else if (event.key === "a" && !event.repeat) {
      const form = (at >= 0 ? list[at] : document.getElementById("alarm"))?.querySelector("form.ack");
      if (!form) return;
      form.requestSubmit();
    } else return;
    event.preventDefault();
  });
  // A form sends the browser to a fresh page: go on at the row that took the place of the one acknowledged.
  document.addEventListener("submit", (event) => {
    const row = event.target.closest("tr[data-alarm]");
    if (row) sessionStorage.setItem(KEPT, JSON.stringify({ at: rows().indexOf(row) }));
  });
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) || "{}");
    const list = rows();
    choose(kept.at === undefined ? list.find((row) => row.dataset.alarm === kept.alarm) : list[Math.min(kept.at, list.length - 1)]);
  } catch { /* no storage: begin at the top */ }
})();
