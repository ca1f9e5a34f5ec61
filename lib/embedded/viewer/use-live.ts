/** What a page shows of the store, asked again when something has changed. */
import { useSignal, type Signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ask, onChange, StoreError } from "./api.ts";

/** Changes within this time are asked about together. */
const ASK_AFTER_MS = 300;

/** The last answer, and what is wrong. */
export interface Live<T> {
  readonly answer: Signal<T | undefined>;
  /** "" where all is well. */
  readonly problem: Signal<string>;
  readonly isPaused: Signal<boolean>;
  /** Traces that have changed while it was paused. */
  readonly missed: Signal<number>;
  /** Goes on after a pause, or pauses. */
  readonly togglePause: () => void;
}

/** @param path what to ask; when it changes, it is asked at once @param onAnswer told of each answer */
export function useLive<T>(path: string, onAnswer: (answer: T) => void): Live<T> {
  const answer = useSignal<T | undefined>(undefined);
  const problem = useSignal("");
  const isPaused = useSignal(false);
  const missed = useSignal(0);
  const latest = useRef({ path, onAnswer });
  latest.current = { path, onAnswer };
  const asked = useRef<AbortController | undefined>(undefined);

  const askNow = async () => {
    asked.current?.abort();
    const { signal } = (asked.current = new AbortController());
    try {
      const came = await ask<T>(latest.current.path, signal);
      latest.current.onAnswer(came);
      answer.value = came;
      problem.value = "";
      missed.value = 0;
    } catch (error) {
      if (signal.aborted) return;
      problem.value =
        error instanceof StoreError
          ? error.message
          : "The store does not answer. It is asked again.";
    }
  };
  useEffect(() => {
    void askNow();
    return () => asked.current?.abort();
  }, [path]);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const end = onChange(({ traceIds }) => {
      if (isPaused.value) {
        missed.value += traceIds.length;
        return;
      }
      // The first change waits for those behind it; it is not put off by them.
      timer ??= setTimeout(() => {
        timer = undefined;
        void askNow();
      }, ASK_AFTER_MS);
    });
    return () => {
      end();
      clearTimeout(timer);
    };
  }, []);
  const togglePause = () => {
    isPaused.value = !isPaused.value;
    if (!isPaused.value) void askNow();
  };
  return { answer, problem, isPaused, missed, togglePause };
}
