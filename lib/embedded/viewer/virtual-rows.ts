/** Which of many rows are to be drawn: those that are seen, and a few around. */
import {
  elementScroll,
  observeElementOffset,
  observeElementRect,
  Virtualizer,
  type VirtualItem,
} from "@tanstack/virtual-core";
import { useEffect, useLayoutEffect, useReducer, useRef } from "preact/hooks";
import type { RefObject } from "preact";

/** Rows that are drawn beyond what is seen, at each end. */
const OVERSCAN = 12;

/** What a list of rows draws. */
export interface VirtualRows {
  readonly items: readonly VirtualItem[];
  /** Of all rows together, in pixels. */
  readonly height: number;
  /** Scrolls as little as is needed to show a row. */
  readonly show: (index: number) => void;
}

/** @param scroller the element that scrolls @param count of rows @param rowHeight in pixels, all alike */
export function useVirtualRows(
  scroller: RefObject<HTMLElement | null>,
  count: number,
  rowHeight: number,
): VirtualRows {
  const [, redraw] = useReducer<number, void>((n) => n + 1, 0);
  const ref = useRef<Virtualizer<HTMLElement, Element> | undefined>(undefined);
  const options = {
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    scrollToFn: elementScroll,
    observeElementRect,
    observeElementOffset,
    onChange: () => redraw(),
  };
  ref.current ??= new Virtualizer(options);
  const virtualizer = ref.current;
  virtualizer.setOptions(options);
  // The library has no other way in for frameworks that it has no adapter for.
  // oxlint-disable-next-line no-underscore-dangle
  useLayoutEffect(() => virtualizer._didMount(), [virtualizer]);
  // oxlint-disable-next-line no-underscore-dangle
  useLayoutEffect(() => virtualizer._willUpdate());
  useEffect(() => virtualizer.measure(), [virtualizer, count]);
  return {
    items: virtualizer.getVirtualItems(),
    height: virtualizer.getTotalSize(),
    show: (index) => virtualizer.scrollToIndex(index, { align: "auto" }),
  };
}
