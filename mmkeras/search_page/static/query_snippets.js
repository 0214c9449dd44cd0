/** A query as commands and a program that ask the same: texts to copy, quoted so that they can be pasted. */

const FILE = "photo.jpg"; // stands for a picture that only the browser has

/**
 * @param {object} query fields of `api/search`; `picture` is a Blob.
 * @param {object} info what `api/info` says.
 * @param {string} base address of the page, with a slash at its end.
 * @returns {{name: string, says: string, code: string}[]}
 */
export function snippetsOf(query, info, base) {
  const found = [{ name: "curl", says: "asks this service, and gets what the page shows", code: curl(query, base) }];
  if (query.id || !info.server) return found;
  const picture = query.picture ? ` Put the picture beside it as ${FILE}.` : "";
  const both = query.picture && query.text ? " It asks for the text; ask for the picture alike." : "";
  found.push({
    name: "grpcurl",
    says: `asks the model server for the embedding.${query.text ? both : picture}`,
    code: grpcurl(query, info),
  });
  found.push({ name: "Python", says: `embeds and searches.${picture}`, code: python(query, info) });
  return found;
}

/** A text as one word of a POSIX shell. */
export const shellWord = (text) => `'${String(text).replaceAll("'", "'\\''")}'`;

function curl({ picture, ...query }, base) {
  const address = shellWord(`${base}api/search`);
  if (!picture) return `curl -s ${address} -H 'Content-Type: application/json' \\\n  -d ${shellWord(JSON.stringify(query))}`;
  const fields = Object.entries(query).map(([name, value]) => {
    const text = typeof value === "object" ? JSON.stringify(value) : value;
    return ` \\\n  --form-string ${shellWord(`${name}=${text}`)}`;
  });
  return `curl -s ${address} -F picture=@${FILE}${fields.join("")}`;
}

function grpcurl({ text, picture }, info) {
  const kind = text || !picture ? "text" : "picture";
  const asked = {
    model_spec: { name: info.model, ...versionOf(info), signature_name: info.signatures[kind] },
    inputs: {
      [kind === "text" ? "text" : "image_bytes"]: {
        dtype: "DT_STRING",
        tensor_shape: { dim: [{ size: 1 }] },
        string_val: [kind === "text" ? base64(text) : "@"],
      },
    },
  };
  let data = shellWord(JSON.stringify(asked));
  if (kind === "picture") data = data.replace('["@"]', () => `["'"$(base64 < ${FILE} | tr -d '\\n')"'"]`);
  return `grpcurl -plaintext -d ${data} \\\n  ${shellWord(info.server)} tensorflow.serving.PredictionService/Predict`;
}

function versionOf(info) {
  if (info.label) return { version_label: info.label };
  return info.version ? { version: info.version } : {};
}

function python({ text, picture, weight = 0.5, k, where, filters, in: modality }, info) {
  const word = JSON.stringify; // what it writes is a string of Python too
  const version = info.label ? `, label=${word(info.label)}` : info.version ? `, version=${info.version}` : "";
  const lines = [
    text && picture ? "import numpy as np\n" : null,
    "from mmkeras.search import EmbeddingIndex",
    "from mmkeras.serving import Client",
    "",
    `index = EmbeddingIndex("INDEX")  # its folder, as in savedmodels/NAME/VERSION/assets.extra/index`,
    `with Client(${word(info.server)}, ${word(info.model)}${version}) as client:`,
    "    client.check_space(index)",
  ];
  if (text) lines.push(`    embedding = client.encode_text([${word(text)}])`);
  if (picture && !text) lines.push(`    embedding = client.encode_image([${word(FILE)}])`);
  if (picture && text) {
    lines.push(`    embedding = ${weight} * embedding + ${Math.round(100 - 100 * weight) / 100} * client.encode_image([${word(FILE)}])`);
    lines.push("    embedding /= np.linalg.norm(embedding)");
  }
  const kept = allOf([where, ...Object.entries(filters ?? {}).map((filter) => membership(filter, info))]);
  lines.push(`for result in index.search(embedding, ${word(modality ?? "image")}, k=${k}${kept ? `, where=${word(kept)}` : ""})[0]:`);
  lines.push('    print(result.rank, round(result.score, 3), result.item["id"], result.item["text"])');
  return lines.filter((line) => line !== null).join("\n");
}

/** Expressions of SQLite as one that is true where all of them are; each on lines of its own, where its comments end. */
export function allOf(expressions) {
  const said = expressions.map((expression) => expression?.trim()).filter(Boolean);
  return said.length > 1 ? said.map((expression) => `(\n${expression}\n)`).join(" AND ") : (said[0] ?? "");
}

/** A column's name as SQLite quotes it. */
export const columnName = (name) => `"${name.replaceAll('"', '""')}"`;

function membership([column, values], info) {
  const name = columnName(column);
  const given = values.map((value) => (typeof value === "string" ? `'${value.replaceAll("'", "''")}'` : Number(value)));
  const one = info.columns.some((each) => each.name === column && each.kind === "list");
  return one
    ? `EXISTS (SELECT 1 FROM json_each(${name}) WHERE value IN (${given.join(", ")}))`
    : `${name} IN (${given.join(", ")})`;
}

function base64(text) {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
