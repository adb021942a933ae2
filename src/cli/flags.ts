/**
 * The command line's flags, made from the settings: one place knows a setting's name, default and meaning.
 *
 * Invariant: flags arrive as the text that the user typed, so that a wrong one is reported like a wrong variable.
 */
import { Option } from "effect"
import { Flag } from "effect/cli"
import { type Setting, type SettingKey, settings } from "../settings.ts"

const described = (setting: Setting<unknown>): string => {
  const fallback = setting.shown === "" ? "" : ` (${setting.shown})`
  const environment = setting.env.length === 0 ? "" : ` [${setting.env.join(", ")}]`
  return `${setting.help}${fallback}${environment}`
}

const flagOf = (setting: Setting<unknown>): Flag.Flag<Option.Option<string>> => {
  const flag: Flag.Flag<Option.Option<string>> = setting.isSwitch
    ? Flag.Boolean(setting.flag).pipe(
        Flag.withDefault(false),
        Flag.map((on) => (on ? Option.some("true") : Option.none()))
      )
    : setting.isList
      ? Flag.String(setting.flag).pipe(
          Flag.atLeast(0),
          Flag.map((all) => (all.length === 0 ? Option.none() : Option.some(all.join(","))))
        )
      : Flag.String(setting.flag).pipe(Flag.optional)
  const named = setting.alias === undefined ? flag : Flag.withAlias(flag, setting.alias)
  return Flag.withDescription(named, described(setting))
}

type SettingFlags = { readonly [K in SettingKey]: Flag.Flag<Option.Option<string>> }

/** One flag per setting. */
export const settingFlags: SettingFlags = Object.fromEntries(
  Object.entries(settings).map(([key, setting]) => [key, flagOf(setting as Setting<unknown>)])
) as SettingFlags

/** Only those that were given. */
export const given = (
  parsed: Readonly<Partial<Record<SettingKey, Option.Option<string>>>>
): Partial<Record<SettingKey, string>> =>
  Object.fromEntries(
    Object.entries(parsed).flatMap(([key, value]) =>
      value !== undefined && Option.isSome(value) ? [[key, value.value]] : []
    )
  )
