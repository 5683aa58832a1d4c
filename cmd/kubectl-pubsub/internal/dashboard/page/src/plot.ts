// Charts over time, all with the same axes and colours.

import uPlot from "../third_party/uplot/uPlot.esm";
import { onTheme, palette, type Palette } from "./theme";
import { clock, short } from "./words";

export type Plot = uPlot;
export type Values = (number | null)[];

export interface Line {
  label: string;
  colour: keyof Palette;
  dash?: number[];
  width?: number;
  stepped?: boolean;
}

export interface PlotOptions {
  height: number; // CSS px
  lines: Line[];
  /** band is the two lines between which is shaded: upper, lower. */
  band?: [number, number];
  sync?: string;
  hooks?: uPlot.Hooks.Arrays;
  /** zoom is told which times (s) were selected, and of a double click. Without it, the chart zooms by itself. */
  zoom?: { to(min: number, max: number): void; out(): void };
  /** integers: the axis has no fractions. */
  integers?: boolean;
}

const font = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';

/** plot makes a chart in the element, as wide as it. The result's destroy ends it. */
export function plot(into: HTMLElement, options: PlotOptions): { chart: Plot; destroy(): void } {
  const stepped = uPlot.paths.stepped!({ align: 1 });
  const axis = (): uPlot.Axis => ({
    stroke: () => palette().muted,
    font,
    grid: { stroke: () => palette().rule, width: 1 },
    ticks: { show: false },
  });
  const { zoom } = options;
  const chart = new uPlot(
    {
      width: into.clientWidth || 300,
      height: options.height,
      legend: { show: false },
      padding: [8, 8, 0, 0],
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: !zoom, dist: 5 },
        points: { size: 6 },
        ...(zoom ? { bind: { dblclick: () => () => (zoom.out(), null) } } : {}),
        // The other charts are zoomed by whoever is told: a selection is not repeated in them.
        ...(options.sync ? { sync: { key: options.sync, setSeries: false, ...(zoom ? { filters: { pub: (type: string) => type === "mousemove" } } : {}) } } : {}),
      },
      scales: { x: { time: true }, y: { range: (_, __, max) => [0, roomAbove(max)] } },
      axes: [
        { ...axis(), size: 24, space: 70, values: (_, splits, __, ___, step) => splits.map((s) => (step >= 60 ? clock(s * 1000).slice(0, 5) : clock(s * 1000))) },
        { ...axis(), size: 46, space: 28, values: (_, splits) => splits.map((s) => (options.integers && !Number.isInteger(s) ? "" : short(s))) },
      ],
      series: [
        {},
        ...options.lines.map((line) => ({
          label: line.label,
          stroke: () => palette()[line.colour],
          width: line.width ?? 1.5,
          ...(line.dash ? { dash: line.dash } : {}),
          ...(line.stepped ? { paths: stepped } : {}),
          points: { show: false },
        })),
      ],
      bands: options.band ? [{ series: options.band, fill: () => palette().band }] : [],
      hooks: zoom ? { ...options.hooks, setSelect: [(chart) => select(chart, zoom.to)] } : (options.hooks ?? {}),
    },
    [[], ...options.lines.map(() => [])] as uPlot.AlignedData,
    into,
  );
  const resize = new ResizeObserver(() => {
    const width = into.clientWidth;
    if (width > 0 && width !== chart.width) chart.setSize({ width, height: options.height });
  });
  resize.observe(into);
  const ended = onTheme(() => chart.redraw());
  return {
    chart,
    destroy() {
      resize.disconnect();
      ended();
      chart.destroy();
    },
  };
}

function select(chart: Plot, to: (min: number, max: number) => void): void {
  const { left, width } = chart.select;
  if (width === 0) return;
  const [min, max] = [chart.posToVal(left, "x"), chart.posToVal(left + width, "x")];
  chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  to(min, max);
}

function roomAbove(max: number | null): number {
  return Math.max(1, (max ?? 0) * 1.08);
}
