// Live updates and the keyboard. Everything here enhances: the pages read and act without it.
"use strict";
(() => {
  const status = document.getElementById("live");
  const words = { on: status ? status.textContent : "", off: document.body.dataset.liveOff || "" };
  const show = (on) => {
    if (!status) return;
    status.textContent = on ? words.on : words.off;
    status.classList.toggle("off", !on);
  };

  // Many steps in a moment refresh the page once, at most every 300 ms.
  let due = null;
  const refresh = () => {
    if (due !== null) return;
    due = setTimeout(() => {
      due = null;
      for (const id of ["rows", "alarm"]) {
        const part = document.getElementById(id);
        if (part) htmx.trigger(part, "refresh");
      }
    }, 300);
  };

  document.body.addEventListener("alarm", (event) => {
    show(true);
    const page = document.getElementById("alarm");
    if (page) {
      const step = JSON.parse(event.detail.data);
      if (step.alarm !== page.dataset.alarm) return;
    }
    refresh();
  });
  document.body.addEventListener("reset", () => location.reload());
  document.body.addEventListener("htmx:sse:after:connection", () => show(true));
  document.body.addEventListener("htmx:sse:error", () => show(false));
  document.body.addEventListener("htmx:sse:close", () => show(false));
  document.body.addEventListener("htmx:sse:before:connection", (event) => {
    if (event.detail.connection.attempt > 0) show(false);
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
  // Times left shrink without any step.
  if (document.getElementById("rows")) setInterval(() => { if (!document.hidden) refresh(); }, 30000);

  let chosen = null;
  const rows = () => [...document.querySelectorAll("tr[data-alarm]")];
  const choose = (row) => {
    for (const other of rows()) other.classList.toggle("chosen", other === row);
    chosen = row ? row.dataset.alarm : null;
    if (row) row.querySelector("a.open").focus();
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const list = rows();
    const at = list.findIndex((row) => row.dataset.alarm === chosen);
    if (event.key === "j") choose(list[Math.min(at + 1, list.length - 1)]);
    else if (event.key === "k") choose(list[Math.max(at - 1, 0)]);
    else if (event.key === "a") {
      const row = at >= 0 ? list[at] : document.getElementById("alarm");
      const form = row && row.querySelector("form.ack");
      if (form) form.requestSubmit();
    } else return;
    event.preventDefault();
  });
})();
