// Draws docs/cloud.svg of docs/cloud.d2, with D2 as `make diagram` has installed it in .cache/d2.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const { D2 } = await import(`${process.cwd()}/.cache/d2/node_modules/@terrastruct/d2/dist/node-esm/index.js`);
const text = readFileSync("docs/cloud.d2", "utf8");
const d2 = new D2();
const drawn = await d2.compile({ fs: { index: text }, options: { layout: "elk", themeID: 0, pad: 20 } });
const svg = await d2.render(drawn.diagram, { ...drawn.renderOptions, noXMLTag: true });
const hash = createHash("sha256").update(text).digest("hex");
writeFileSync("docs/cloud.svg", `<!-- docs/cloud.d2, sha256 ${hash} -->\n${svg}\n`);
process.exit(0);
