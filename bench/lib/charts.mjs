// Owns the charts made from kept results: SVG text, each in a light and a dark version. Pure.
import * as echarts from "echarts";
import { contenders } from "../contenders/index.mjs";

const themes = {
  light: { text: "#1f2328", line: "#d1d9e0" },
  dark: { text: "#e6edf3", line: "#3d444d" },
};

/** One colour for each contender, told apart on white and on black, and by those who see no red or no green (Okabe and Ito's). */
const colours = {
  zstream: "#0072b2",
  "llama-server": "#e69f00",
  "llama-server-tuned": "#d55e00",
  "node-llama-cpp": "#009e73",
  raw: "#8c8c8c",
};

/** Charts of a model's results by name, as far as the rows for them are there. */
export function charts({ rows }) {
  const drawn = {};
  for (const [theme, look] of Object.entries(themes)) {
    if (rows.b) drawn[`streams-${theme}`] = draw(streams(rows.b, look), 420);
    if (rows.curve) drawn[`curve-${theme}`] = draw(curve(rows.curve, look), 420);
  }
  return drawn;
}

function draw(option, height) {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: 860, height });
  chart.setOption({ animation: false, backgroundColor: "transparent", ...option });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

/** Row b: new tokens per second in all, bars by contender. */
function streams(row, look) {
  const figures = row.figures.filter(({ measure }) => measure.startsWith("tokensPerSecond"));
  const names = Object.keys(contenders).filter((name) => figures.every(({ values }) => values[name]));
  return {
    ...frame("New tokens per second in all, streams begun at once", look),
    grid: { left: 60, right: 20, top: 80, bottom: 40 },
    xAxis: { type: "category", data: figures.map(({ label }) => label.split(",")[0]), ...axis(look) },
    yAxis: { type: "value", ...axis(look) },
    series: names.map((name) => ({
      type: "bar",
      name: contenders[name].title,
      itemStyle: { color: colours[name] },
      label: { show: true, position: "top", color: look.text, fontSize: 10, formatter: ({ value }) => value.toFixed(0) },
      data: figures.map(({ values }) => values[name].median),
    })),
  };
}

/** Row c at several settings: what a newcomer waits against what the running stream's reader notices. */
function curve(row, look) {
  const [gap, ...waits] = row.figures;
  const sides = waits.map(({ label }, index) => ({ label, index }));
  const log = (name) => ({ type: "log", logBase: 10, name, nameLocation: "middle", nameGap: 28, ...axis(look) });
  return {
    ...frame("A long prompt joins a running stream, at several settings (lower left is better)", look),
    grid: sides.map(({ index }) => ({ left: index === 0 ? 70 : 510, width: 330, top: 90, bottom: 60 })),
    xAxis: sides.map(({ index }) => ({ ...log("longest gap of the running stream, ms"), gridIndex: index })),
    yAxis: sides.map(({ label, index }) => ({ ...log(`${label}, ms`), nameGap: 45, gridIndex: index })),
    series: sides.flatMap(({ index }) =>
      [...new Set(row.variants.map(({ contender }) => contender))].map((contender) => ({
        type: "line",
        name: contenders[contender].title,
        xAxisIndex: index,
        yAxisIndex: index,
        symbolSize: 8,
        itemStyle: { color: colours[contender] },
        lineStyle: { color: colours[contender] },
        label: { show: index === 0, position: "top", color: look.text, fontSize: 10, formatter: ({ data }) => data[2] },
        data: row.variants
          .filter((variant) => variant.contender === contender && gap.values[variant.label])
          .map(({ label }) => [gap.values[label].median, waits[index].values[label].median, label.split(" ").at(-1)]),
      })),
    ),
  };
}

function frame(title, look) {
  return {
    textStyle: { fontFamily: "Helvetica, Arial, sans-serif", color: look.text },
    title: { text: title, left: "center", textStyle: { fontSize: 14, fontWeight: 600, color: look.text } },
    // Without a browser the width of text is a guess; a generous gap keeps names apart in whatever font there is.
    legend: { top: 38, itemGap: 44, textStyle: { color: look.text } },
  };
}

function axis({ text, line }) {
  return {
    nameTextStyle: { color: text },
    axisLabel: { color: text },
    axisLine: { lineStyle: { color: line } },
    splitLine: { lineStyle: { color: line } },
  };
}
