/** The statements of one database: what each is called, and what its spans and measurements say. */
import type { Attributes } from "@opentelemetry/api";
import { ATTR_DB_QUERY_SUMMARY, ATTR_DB_QUERY_TEXT, ATTR_DB_SYSTEM_NAME } from "../attributes.ts";
import { fixed } from "../optional.ts";
import type { Statement } from "./statement.ts";
import { summarizeQuery } from "./summary.ts";
import { withoutLiterals } from "./text.ts";
import type { SqlSystem } from "./words.ts";

const TEXTS_MAX = 200;

/**
 * A program has few of them, so text, summary and attributes are put together once for each; of texts
 * made at run time only so many are kept.
 */
export class Statements {
  readonly #target: Attributes;
  // A tagged template hands over the same `strings` at each call from one place in the source.
  readonly #templates = new WeakMap<TemplateStringsArray, Statement>();
  readonly #texts = new Map<string, Statement>();

  /** @param target what all of its spans say of the database */
  constructor(target: Attributes) {
    this.#target = target;
  }

  /** @param textOf makes the text, at the template's first run; it depends on nothing but `strings` */
  ofTemplate(strings: TemplateStringsArray, textOf: () => string): Statement {
    let statement = this.#templates.get(strings);
    if (!statement) {
      statement = this.#create(textOf());
      this.#templates.set(strings, statement);
    }
    return statement;
  }

  /** @param text as it was given: literals in it are not shown */
  ofText(text: string): Statement {
    let statement = this.#texts.get(text);
    if (!statement) {
      // Who made the text may have put values into it; a template's text stands in the source.
      statement = this.#create(text, withoutLiterals(text, this.#system));
      if (this.#texts.size < TEXTS_MAX) this.#texts.set(text, statement);
    }
    return statement;
  }

  get #system(): SqlSystem {
    return this.#target[ATTR_DB_SYSTEM_NAME] as SqlSystem;
  }

  #create(text: string, shown = text): Statement {
    const summary = summarizeQuery(shown, this.#system);
    const metricAttributes = fixed({ ...this.#target, [ATTR_DB_QUERY_SUMMARY]: summary });
    // Frozen, so that a tracer may keep what it made of them.
    const spanAttributes = Object.freeze({
      ...metricAttributes,
      ...(shown && { [ATTR_DB_QUERY_TEXT]: shown }),
    });
    return { text, summary, spanAttributes, metricAttributes };
  }
}
