"use strict";
// What a page does when it is touched. Without this script it shows the same, and stands still.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, properties) => Object.assign(document.createElement(name), properties);
  document.documentElement.classList.add("live");

  // A link to a unit opens what it is folded in, and marks it.

  const unfold = (element) => {
    for (let up = element; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
  };
  const follow = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    unfold(target);
    all(".marked").forEach((other) => other.classList.remove("marked"));
    target.classList.add("marked");
    target.scrollIntoView({ block: "start" });
    if (target.dataset.unit) light(target.dataset.unit);
  };

  // A map over a picture: its values come as the greys of a small picture, zero in the middle.

  const ramp = (colours, at) => {
    const place = Math.min(at * (colours.length - 1), colours.length - 1.001);
    const low = colours[Math.floor(place)], high = colours[Math.floor(place) + 1];
    return low.map((channel, i) => channel + (high[i] - channel) * (place % 1));
  };
  const values = async (uri) => {
    const image = new Image();
    image.src = uri;
    await image.decode();
    const size = { width: image.naturalWidth, height: image.naturalHeight };
    const context = make("canvas", size).getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, size.width, size.height);
    const greys = Float32Array.from({ length: data.length / 4 }, (_, i) => (data[4 * i] - 128) / 127);
    const sizes = Float32Array.from(greys, Math.abs).sort();
    return { ...size, greys, sizes };
  };

  class Stage {
    constructor(element) {
      this.colours = element.dataset.colours.split(" ").map((colour) =>
        [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16)));
      this.element = element;
      this.caption = element.querySelector("[data-shown]");
      this.still = element.querySelector("img.heat");
      this.canvas = make("canvas", { className: "heat" });
      this.canvas.setAttribute("role", "img");
      this.own = { map: element.dataset.map, words: this.caption.textContent };
      this.known = new Map();
      this.percentile = element.querySelector("input.percentile");
      this.opacity = element.querySelector("input.opacity");
      for (const slider of [this.percentile, this.opacity]) {
        slider.addEventListener("input", () => this.draw());
      }
      this.show(this.own);
    }

    async show(shown) {
      this.shown = shown;
      if (!this.known.has(shown.map)) this.known.set(shown.map, await values(shown.map));
      if (this.shown !== shown) return;  // another was asked for meanwhile
      if (this.still.isConnected) this.still.replaceWith(this.canvas);
      this.caption.textContent = shown.words;
      this.canvas.setAttribute("aria-label", shown.words);
      this.draw();
    }

    draw() {
      const map = this.known.get(this.shown.map);
      if (!map) return;
      const percentile = Number(this.percentile.value), opacity = Number(this.opacity.value) / 100;
      const place = Math.min(Math.floor(percentile / 100 * map.sizes.length), map.sizes.length - 1);
      const least = percentile ? map.sizes[place] : 0;
      const context = Object.assign(this.canvas, { width: map.width, height: map.height }).getContext("2d");
      const drawn = context.createImageData(map.width, map.height);
      map.greys.forEach((grey, i) => {
        const size = Math.abs(grey), alpha = size < least ? 0 : Math.min(1.6 * size, 1) ** 1.3;
        drawn.data.set([...ramp(this.colours, 0.5 + grey / 2), 255 * alpha * opacity], 4 * i);
      });
      context.putImageData(drawn, 0, 0);
      this.element.style.setProperty("--on", opacity);
      for (const slider of [this.percentile, this.opacity]) {
        slider.nextElementSibling.textContent = `${slider.value} %`;
      }
    }
  }
  const stages = all(".stage[data-map]").map((element) => new Stage(element));

  // A unit that is hovered or focused is lit wherever it stands, and its map on the picture.

  const light = (unit) => {
    for (const element of all("[data-unit]")) {
      element.classList.toggle("lit", unit !== undefined && element.dataset.unit === unit);
    }
    const shown = all("[data-unit][data-map]").find((element) => element.dataset.unit === unit);
    for (const stage of stages) {
      stage.show(shown ? { map: shown.dataset.map, words: shown.dataset.words } : stage.own);
    }
  };
  const unitOf = (event) => event.target.closest && event.target.closest("[data-unit]");
  for (const [enter, leave] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    document.addEventListener(enter, (event) => {
      const found = unitOf(event);
      if (found) light(found.dataset.unit);
    });
    document.addEventListener(leave, (event) => {
      const found = unitOf(event), next = event.relatedTarget;
      if (found && !(next && found.contains(next))) light(undefined);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") light(undefined);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const strip = step && event.target.closest(".strip");
    if (!strip) return;
    const links = all("a", strip), next = links[links.indexOf(event.target) + step];
    if (next) next.focus();
  });

  // A click on a header sorts its table; a second one turns the order round.

  const cell = (row, column) => {
    let place = 0;
    return [...row.cells].find((one) => (place += one.colSpan) > column);
  };
  const sortable = (row, column) => {
    const text = (cell(row, column)?.textContent || "").trim();
    const plain = text.replace(/^[<>]\s*/, "").replace("−", "-").replace(/(\d),(?=\d{3})/g, "$1");
    const number = parseFloat(plain);
    return { text, number: /^[-+]?[\d.]/.test(plain) ? number : NaN };
  };
  const sort = (table, header, column) => {
    const down = header.getAttribute("aria-sort") !== "descending";
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, ...sortable(row, column) }));
    const numbers = rows.some((one) => !Number.isNaN(one.number));
    const order = (a, b) => numbers
      ? (Number.isNaN(a.number) - Number.isNaN(b.number)) || (down ? b.number - a.number : a.number - b.number)
      : (down ? 1 : -1) * a.text.localeCompare(b.text, undefined, { numeric: true });
    rows.sort(order).forEach(({ row }) => table.tBodies[0].append(row));
    all("th", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  for (const table of all("table")) {
    if (!table.tHead || !table.tBodies.length || table.tBodies[0].rows.length < 2) continue;
    let column = 0;
    for (const header of table.tHead.rows[0].cells) {
      const place = column;
      column += header.colSpan;
      if (!header.textContent.trim()) continue;
      const button = make("button", { type: "button", title: "Sort by this column" });
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sort(table, header, place));
    }
  }

  // Paper has nothing to unfold.

  addEventListener("beforeprint", () => all("details").forEach((one) => { one.open = true; }));
  addEventListener("hashchange", follow);
  follow();
})();
