// Draws the last fifteen minutes with uPlot. A chart's legend says what is drawn and how it looks; without this file
// the lines that came with the page stand in.
(() => {
  "use strict";
  const EVERY = 5_000;
  const HEIGHT = 150;
  if (!window.uPlot) return;

  const plots = new Map(); // .plot element -> uPlot
  let series = null;
  let asking = false;
  let askAt = 0;

  // Figures as webui/formats.py writes them, but short enough for an axis.
  const si = (value) => {
    if (value >= 1e6) return `${+(value / 1e6).toFixed(1)} M`;
    if (value >= 1e4) return `${+(value / 1e3).toFixed(1)} k`;
    return String(+value.toPrecision(3));
  };
  const written = {
    rate: si,
    count: si,
    ratio: (value) => `${+(value * 100).toFixed(1)} %`,
    seconds: (value) => {
      if (value === 0) return "0";
      if (value < 0.001) return `${Math.round(value * 1e6)} µs`;
      return value < 1 ? `${+(value * 1e3).toPrecision(3)} ms` : `${+value.toPrecision(3)} s`;
    },
  };
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 16);
  const moment = (seconds) => `${new Date(seconds * 1000).toISOString().slice(11, 19)} UTC`;

  const colour = (element, property) => getComputedStyle(element)[property];

  function legend(plot) {
    return [...plot.closest("figure").querySelectorAll("[data-series]")].map((item) => {
      const line = item.querySelector("path");
      const dash = colour(line, "strokeDasharray");
      return {
        name: item.dataset.series,
        label: item.querySelector(".name").textContent,
        stroke: colour(line, "stroke"),
        dash: dash === "none" ? undefined : dash.split(",").map((each) => parseFloat(each)),
        width: parseFloat(colour(line, "strokeWidth")),
      };
    });
  }

  function columns(lines) {
    return [series.time, ...lines.map(({ name }) => series[name] ?? series.time.map(() => null))];
  }

  function readout(plot) {
    const box = document.createElement("p");
    box.className = "readout";
    box.hidden = true;
    plot.append(box);
    return box;
  }

  function draw(plot) {
    const lines = legend(plot);
    const write = written[plot.dataset.unit];
    const ratio = plot.dataset.unit === "ratio";
    const quiet = colour(document.querySelector(".quiet") ?? document.body, "color");
    const grid = colour(plot, "borderBottomColor");
    const axis = { stroke: quiet, font: `11px ${colour(document.body, "fontFamily")}`, ticks: { show: false } };
    plot.replaceChildren();
    const box = readout(plot);
    const chart = new uPlot(
      {
        width: Math.max(plot.clientWidth, 120),
        height: HEIGHT,
        padding: [8, 8, 0, 0],
        legend: { show: false },
        cursor: { drag: { x: false, y: false }, points: { size: 6 } },
        scales: {
          x: { time: false },
          y: { range: (_, __, most) => [0, ratio ? 1 : plot.dataset.unit === "count" ? Math.max(most, 4) : (most || 1) * 1.08] },
        },
        axes: [
          { ...axis, grid: { show: false }, size: 22, space: 80, incrs: [60, 120, 180, 300], values: (_, ticks) => ticks.map(clock) },
          { ...axis, grid: { stroke: grid, width: 1 }, size: 56, space: 36, incrs: ratio ? [0.25, 0.5, 1] : undefined, values: (_, ticks) => ticks.map(write) },
        ],
        series: [
          {},
          ...lines.map(({ label, stroke, dash, width }) => ({ label, stroke, dash, width, points: { show: false }, spanGaps: false })),
        ],
        hooks: {
          setCursor: [
            (self) => {
              const at = self.cursor.idx;
              box.hidden = at == null;
              if (at == null) return;
              const values = lines.map(({ label }, i) => [label, self.data[i + 1][at]]);
              const said = values.map(([label, value]) => `${label} ${value == null ? "–" : write(value)}`);
              box.textContent = `${moment(self.data[0][at])} · ${said.join(" · ")}`;
            },
          ],
        },
      },
      columns(lines),
      plot,
    );
    plots.set(plot, chart);
  }

  function show() {
    for (const [plot, chart] of plots) {
      if (plot.isConnected) continue;
      chart.destroy();
      plots.delete(plot);
    }
    for (const plot of document.querySelectorAll(".plot[data-unit]")) {
      const chart = plots.get(plot);
      if (chart) chart.setData(columns(legend(plot)));
      else draw(plot);
    }
  }

  const still = () => document.hidden || document.documentElement.matches(".is-paused, .is-lost");

  async function ask() {
    if (asking || still() || Date.now() < askAt || !document.querySelector(".plot")) return;
    asking = true;
    askAt = Date.now() + EVERY;
    try {
      const answer = await fetch("/api/history?seconds=900&step=5", { redirect: "error", signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) return;
      ({ series } = await answer.json());
      show();
    } catch {
      // The page itself says that its figures are old; the lines drawn last stay.
    } finally {
      asking = false;
    }
  }

  function redraw() {
    for (const [plot, chart] of plots) {
      chart.destroy();
      plots.delete(plot);
    }
    if (series) show();
  }

  let resizing = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(resizing);
    resizing = requestAnimationFrame(() => {
      for (const [plot, chart] of plots) chart.setSize({ width: Math.max(plot.clientWidth, 120), height: HEIGHT });
    });
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  setInterval(ask, 1_000);
  ask();
})();
