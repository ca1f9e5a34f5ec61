/** A service's name, with its colour. */
import { signal } from "@preact/signals";
import { colorAt } from "./colors.ts";

/** All services that the store knows, in the order in which they came. */
export const services = signal<readonly string[]>([]);

/** Takes the store's order over; it only grows, so a service keeps its colour. */
export function learnServices(order: readonly string[]): void {
  if (
    order.length !== services.value.length ||
    order.some((name, i) => name !== services.value[i])
  ) {
    services.value = order;
  }
}

/** @returns CSS's colour of a service */
export function colorOf(service: string): string {
  return colorAt(Math.max(0, services.value.indexOf(service)));
}

/** Swatch and name. */
export function Service({ name, more = "" }: { name: string; more?: string }) {
  return (
    <span class="service">
      <span class="swatch" style={{ background: colorOf(name) }} aria-hidden="true" />
      {name}
      {more && <span class="faint"> {more}</span>}
    </span>
  );
}
