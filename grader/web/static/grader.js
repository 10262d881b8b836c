// What pages gain with JavaScript: a submission that fills in by itself, a look at a file before it is handed in, copying.
// Every page works without this file. Sentences come from data attributes, so they are in the language of the page.
"use strict";

(() => {
  const say = (text) => {
    const region = document.getElementById("announce");
    if (region) region.textContent = text;
  };

  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // A submission that is waiting -------------------------------------------------------------------------------------

  let polling = 0;

  // Checks settle where they stand: the list was complete from the beginning.
  const settle = (holder, event) => {
    const line = holder.querySelector(`[data-check="${CSS.escape(event.id)}"]`);
    if (!line || !line.classList.contains("waiting")) return;
    line.classList.replace("waiting", event.status);
    line.classList.add("settled");
    const status = line.querySelector(".status");
    status.className = `status ${event.status}`;
    status.querySelector("use").setAttribute("href", `#mark-${event.status}`);
    status.querySelector(".mark").setAttribute("class", `mark ${event.status}`);
    status.querySelector(".status-word").textContent = holder.dataset[event.status];
    const points = line.querySelector(".share b");  // a check that carries no points shows none
    if (points) points.textContent = String(event.points);
  };

  const showState = (holder, event) => {
    const text = holder.querySelector("[data-queue-text]");
    if (!text) return;
    if (event.state !== "queued") {
      text.textContent = holder.dataset.grading;
      return;
    }
    if (event.seconds === null && "idle" in holder.dataset) return;  // the page says already that it waits for a worker
    const about = event.seconds ? fill(holder.dataset.about, { seconds: Math.ceil(event.seconds) }) : "";
    text.textContent = fill(holder.dataset[event.before ? "queued" : "next"], { before: event.before }) + about;
  };

  // The page anew, put in place of the old one without moving what is being read.
  const refresh = async (holder) => {
    const answer = await fetch(holder.dataset.address, { headers: { Accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok) return false;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = document.getElementById("main");
    const next = fresh.getElementById("main");
    if (!next) return false;
    const opened = [...main.querySelectorAll("details[open][id]")].map((one) => one.id);
    const reading = [...main.querySelectorAll("[data-check]")].find((one) => one.getBoundingClientRect().top >= 0);
    const before = reading && window.scrollY > 0 ? reading.getBoundingClientRect().top : null;
    const focused = document.activeElement && main.contains(document.activeElement) ? document.activeElement.closest("[id]") : null;
    main.replaceChildren(...next.childNodes);
    document.title = fresh.title;
    for (const id of opened) document.getElementById(id)?.setAttribute("open", "");
    if (focused && focused !== main) document.getElementById(focused.id)?.focus({ preventScroll: true });
    if (before !== null) {
      const same = main.querySelector(`[data-check="${CSS.escape(reading.dataset.check)}"]`);
      if (same) window.scrollBy({ top: same.getBoundingClientRect().top - before, behavior: "instant" });
    }
    const waiting = main.querySelector("[data-waiting]");
    if (!waiting) {
      const score = document.getElementById("score");
      const first = document.querySelector(".first .said");
      say([score, first].filter(Boolean).map((one) => one.textContent.replace(/\s+/g, " ").trim()).join(". "));
      addCopying(main);
      showWorst(main);
    }
    return !waiting;
  };

  const poll = (holder) => {
    if (polling) return;
    polling = window.setInterval(async () => {
      try {
        const current = document.querySelector("[data-waiting]");
        if (!current || (await refresh(current))) window.clearInterval(polling);
      } catch {
        say("");  // the network is away for a moment; the next round tries again
      }
    }, 2000);
  };

  const follow = (holder) => {
    if (!window.EventSource) return poll(holder);
    const events = new EventSource(`${holder.dataset.address}/events`);
    events.addEventListener("state", (event) => showState(holder, JSON.parse(event.data)));
    events.addEventListener("check", (event) => settle(holder, JSON.parse(event.data)));
    events.addEventListener("done", async () => {
      events.close();
      if (!(await refresh(holder).catch(() => false))) poll(holder);
    });
    events.addEventListener("error", () => {
      events.close();
      poll(holder);
    });
  };

  // A file before it is handed in ------------------------------------------------------------------------------------

  const addUpload = (form) => {
    const drop = form.querySelector(".drop");
    const input = form.querySelector("input[type=file]");
    const pasted = form.querySelector("textarea");
    const chosen = form.querySelector("[data-chosen]");
    const answerBox = form.querySelector("[data-understood]");
    const empty = [...chosen.childNodes].map((node) => node.cloneNode(true));
    let asked = 0;

    const show = (kind, lines) => {
      answerBox.className = `understood ${kind}`;
      answerBox.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
      answerBox.hidden = lines.length === 0;
    };

    const look = async (body) => {
      const mine = ++asked;
      show("", [form.dataset.looking]);
      try {
        const answer = await fetch(form.dataset.look, { method: "POST", body, credentials: "same-origin" });
        if (answer.status === 401 && mine === asked) return show("bad", [form.dataset.signedOut]);
        const found = answer.ok ? await answer.json() : { kind: "", lines: [] };
        if (mine === asked) show(found.kind, found.lines);
      } catch {
        if (mine === asked) show("", []);  // only a look: handing in says what is wrong
      }
    };

    const body = (name, value) => {
      const data = new FormData();
      data.append("csrf", form.elements.csrf.value);
      data.append(name, value);
      return data;
    };

    const chosenFile = () => {
      const file = input.files[0];
      asked += 1;
      if (!file) {
        chosen.replaceChildren(...empty.map((node) => node.cloneNode(true)));
        return show("", []);
      }
      const size = file.size < 102400 ? `${(file.size / 1024).toFixed(1)} KiB` : `${(file.size / 1048576).toFixed(1)} MiB`;
      chosen.replaceChildren(
        Object.assign(document.createElement("b"), { textContent: file.name }),
        Object.assign(document.createElement("span"), { textContent: size }),
      );
      const kind = (/\.(py|ipynb|zip)$/i.exec(file.name) || [""])[0].toLowerCase();
      if (!kind) return show("bad", [form.dataset.kind]);
      const most = Number(kind === ".zip" ? input.dataset.zipMib : input.dataset.fileMib) * 1048576;
      if (file.size > most) return show("bad", [form.dataset.large]);
      pasted.value = "";
      look(body("file", file));
    };

    input.addEventListener("change", chosenFile);
    input.addEventListener("dragenter", () => drop.classList.add("over"));
    for (const name of ["dragleave", "drop", "dragend"]) input.addEventListener(name, () => drop.classList.remove("over"));

    let typing = 0;
    pasted.addEventListener("input", () => {
      window.clearTimeout(typing);
      typing = window.setTimeout(() => {
        if (!pasted.value.trim()) return show("", []);
        input.value = "";
        chosen.replaceChildren(...empty.map((node) => node.cloneNode(true)));
        look(body("pasted", pasted.value));
      }, 400);
    });

    // Paste anywhere outside a field: a file goes to the input, text to the field for code.
    document.addEventListener("paste", (event) => {
      if (event.target.closest && event.target.closest("input:not([type=file]), textarea, select")) return;
      const files = event.clipboardData.files;
      const text = event.clipboardData.getData("text/plain");
      if (files.length) {
        input.files = files;
        chosenFile();
      } else if (text.trim()) {
        pasted.closest("details").open = true;
        pasted.value = text;
        pasted.dispatchEvent(new Event("input"));
        pasted.focus();
      } else {
        return;
      }
      event.preventDefault();
    });

    // A second click would hand in twice.
    form.addEventListener("submit", (event) => {
      if (!input.files.length && !pasted.value.trim()) {
        event.preventDefault();
        show("bad", [form.dataset.empty]);
        input.focus();
        return;
      }
      window.setTimeout(() => { form.querySelector("button.button").disabled = true; }, 0);
    });
    window.addEventListener("pageshow", () => { form.querySelector("button.button").disabled = false; });
    if (input.files.length) chosenFile();
  };

  // Copying ----------------------------------------------------------------------------------------------------------

  const addCopying = (root) => {
    if (!navigator.clipboard) return;
    for (const block of root.querySelectorAll("[data-copy]:not([data-ready])")) {
      const holder = Object.assign(document.createElement("div"), { className: "copy" });
      const words = document.getElementById("announce").dataset;
      const button = Object.assign(document.createElement("button"), {
        type: "button", className: "button quiet small", textContent: words.wordCopy,
      });
      block.dataset.ready = "";
      block.replaceWith(holder);
      holder.append(block, button);
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText("value" in block ? block.value : block.textContent);
        button.textContent = words.wordCopied;
        say(button.textContent);
      });
    }
  };

  // The worst cell of a wide table is in sight from the beginning.
  const showWorst = (root) => {
    for (const cell of root.querySelectorAll(".table-box .worst")) {
      const box = cell.closest(".table-box");
      const right = cell.offsetLeft + cell.offsetWidth;
      if (right > box.clientWidth) box.scrollLeft = right - box.clientWidth + 16;
    }
  };

  document.addEventListener("toggle", (event) => showWorst(event.target), true);
  showWorst(document);

  const waiting = document.querySelector("[data-waiting]");
  if (waiting) follow(waiting);
  document.querySelectorAll("form[data-upload]").forEach(addUpload);
  addCopying(document);
})();
